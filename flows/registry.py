"""The registry that a command speaks to: the one it names, else the last run's."""

import os

from flows.environment import home_folder, prepare
from flows.runs import all_runs
from tasks.registry import Registry


def open_registry(url: str) -> Registry:
    """A registry that answers.

    Raises:
        Failure: it does not, or not to us.
    """
    # Told within seconds that nobody answers, not within minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    home = home_folder()
    prepare(home)
    runs = all_runs(home)
    registry = Registry(home, url or (runs[-1].registry if runs else ""))
    registry.check()
    return registry
