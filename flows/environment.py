"""The environment of every process of a run: one home for all that is written, nothing sent out, nothing but loopback.

The libraries read these variables when they are imported.
"""

import os
from importlib.util import find_spec
from pathlib import Path

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def variables(home: Path) -> dict[str, str]:
    """Environment of every process of a run."""
    chosen = {
        "NIGHTJAR_HOME": str(home),
        # Nothing is written outside the home.
        "TMPDIR": str(home / "tmp"),
        "PREFECT_HOME": str(home / "prefect"),
        "MPLCONFIGDIR": str(home / "cache" / "matplotlib"),
        "NUMBA_CACHE_DIR": str(home / "cache" / "numba"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "SPARK_LOCAL_DIRS": str(home / "scratch" / "spark"),
        # No telemetry. Each of these is read when its library is imported.
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GX_ANALYTICS_ENABLED": "false",
        "ORT_DISABLE_TELEMETRY": "1",
        # Loopback only, and past any proxy.
        "SPARK_LOCAL_IP": "127.0.0.1",
        **proxies(),
        # Quiet: the run's own display tells what happens.
        "PREFECT_LOGGING_LEVEL": "WARNING",
        # One that Prefect starts itself, for a flow that is called from Python, shares the terminal of that program.
        "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
        # Nor does it let pages of every site in; ours stand behind a guard (flows/service/origins.py).
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": "",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_LOGGING_LEVEL": "ERROR",
        "TQDM_DISABLE": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }
    kept = {name: value for name, value in os.environ.items() if name in chosen and name.startswith("PREFECT_LOGGING")}
    return {**chosen, **kept}


def proxies() -> dict[str, str]:
    """What keeps proxies of the environment away from our own servers; for all other hosts they stay.

    httpx, with which Prefect asks its server, opens every proxy that there is before it looks at `no_proxy`, and fails
    over SOCKS where it has no package for it; then such a proxy is left out.
    """
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    spared = [name.strip() for name in given.split(",") if name.strip()]
    if spared != ["*"]:  # which spares every host, but only where it stands alone
        spared += [name for name in LOOPBACK if name not in spared]
    found = {"no_proxy": ",".join(spared), "NO_PROXY": ",".join(spared)}
    if find_spec("socksio") is None:
        found |= {
            name: ""
            for name, value in os.environ.items()
            if name.lower() in ("all_proxy", "http_proxy", "https_proxy") and value.lower().startswith("socks")
        }
    return found
