"""The environment a run works in: one home for all that is written, nothing sent out, nothing but loopback.

Called once by the command before anything heavy is imported; the libraries read these variables at import.
"""

import os
from pathlib import Path

from expectations.errors import UserError
from flows.service.connection import connection

FOLDERS = ("lake", "tmp", "scratch", "runs", "prefect", "mlflow", "cache")


def home_folder() -> Path:
    """`NIGHTJAR_HOME`, or `.nightjar` in the current folder."""
    return Path(os.environ.get("NIGHTJAR_HOME") or ".nightjar").resolve()


def prepare(home: Path) -> None:
    """Make the home's folders and point every library at them.

    Raises:
        UserError: the home cannot be written.
    """
    try:
        for name in FOLDERS:
            (home / name).mkdir(parents=True, exist_ok=True)
        probe = home / "tmp" / f".probe-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"home {home} cannot be written ({error.strerror}); make it writable, or name another with NIGHTJAR_HOME"
        ) from error
    os.environ.update(variables(home))
    os.environ.update(connection(home))


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
        # Loopback only.
        "SPARK_LOCAL_IP": "127.0.0.1",
        # Quiet: the run's own display tells what happens.
        "PREFECT_LOGGING_LEVEL": "WARNING",
        # One that Prefect starts itself, for a flow that is called from Python, shares the terminal of that program.
        "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_LOGGING_LEVEL": "ERROR",
        "TQDM_DISABLE": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }
    kept = {name: value for name, value in os.environ.items() if name in chosen and name.startswith("PREFECT_LOGGING")}
    return {**chosen, **kept}
