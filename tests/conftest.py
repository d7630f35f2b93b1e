"""What all tests share: three tiers, a home of their own, one finished night, no telemetry.

A test is `slow` when it needs a JVM, a server, a browser or a whole night: `make check` leaves it out. A `soak` test
repeats at length what a cheaper test proves once: `make test` leaves it out, `make soak` runs it.
"""

import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from flows.home import prepare
from tests.homes import continued, golden, golden_days, make_home, prefect
from tests.lakes import lake, s3_url
from tests.postgres import postgres

__all__ = ["continued", "golden", "golden_days", "lake", "make_home", "postgres", "prefect", "s3_url"]

# Before anything heavy is imported: libraries read these variables at import.
_HOME = Path(tempfile.mkdtemp(prefix="nightjar-tests-"))
prepare(_HOME)
# OpenMP's idle threads spin by default: with more processes than cores they take the time that others need.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A worker of pytest-xdist has a nameless main module, which PySpark takes for a run of its doctests and ends.
if not hasattr(sys.modules["__main__"], "__file__"):
    sys.modules["__main__"].__file__ = __file__

# Slow draws on a loaded machine are no defect of the code under test.
settings.register_profile("test", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50)
settings.register_profile("soak", settings.get_profile("test"), max_examples=200)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))

SLOW = {"golden", "golden_days", "prefect", "spark", "make_service", "postgres", "chromium", "credentials", "in_s3"}
"""Fixtures whose users are slow; other slow tests say so by a mark of their own."""

FIRST = {"test_explorer.py", "test_backfill.py"}
"""One begins with each process: they make the two homes that others wait for."""

SEED = os.environ.get("NIGHTJAR_TEST_SEED") or str(random.SystemRandom().randrange(10**6))
"""Of everything that tests do at random; the same in all processes of a run, which inherit it."""
os.environ["NIGHTJAR_TEST_SEED"] = SEED


def pytest_report_header() -> str:
    return f"random moments: NIGHTJAR_TEST_SEED={SEED}"


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Random moments of a test, the same for the same seed."""
    return random.Random(f"{SEED} {request.node.name}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, and begin with files of slow tests: the short ones fill the end of both processes."""
    for item in items:
        if SLOW & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("soak")}
    items.sort(key=lambda item: (item.path not in slow, item.path.name not in FIRST))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the tables that tests have recorded: of what went wrong around them, say."""
    ended = [r for how in ("passed", "failed") for r in terminalreporter.stats.get(how, [])]
    for report in ended:
        for name, value in report.user_properties:
            if name == "table":
                terminalreporter.write_sep("-", report.nodeid)
                terminalreporter.write_line(value)


def pytest_sessionfinish() -> None:
    import shutil

    shutil.rmtree(_HOME, ignore_errors=True)
