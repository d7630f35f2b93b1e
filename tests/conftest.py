"""What all tests share: a home of their own, nights in further ones, no telemetry, patience on a busy machine."""

import os
import sys
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings

from flows.environment import prepare
from tests.homes import make_home, undisturbed

__all__ = ["make_home", "undisturbed"]

# Before anything heavy is imported: libraries read these variables at import.
_HOME = Path(tempfile.mkdtemp(prefix="nightjar-tests-"))
prepare(_HOME)

# A worker of pytest-xdist has a nameless main module, which PySpark takes for a run of its doctests and ends.
if not hasattr(sys.modules["__main__"], "__file__"):
    sys.modules["__main__"].__file__ = __file__

# Slow draws on a loaded machine are no defect of the code under test.
settings.register_profile("nightjar", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "nightjar"))


def pytest_sessionfinish() -> None:
    import shutil

    shutil.rmtree(_HOME, ignore_errors=True)
