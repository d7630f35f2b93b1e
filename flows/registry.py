"""The registry that a command speaks to, the one it names, else the last run's; and a release out of it, opened."""

import os
from typing import Any

from flows.home import home_folder, prepare
from flows.night.records import all_runs
from tasks.registry.registry import Registry, Version


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


def open_release(registry: Registry, version: Version) -> Any:
    """The bundle of a version, through its own runtime; its copy in `<home>/releases` is made or brought up to date."""
    from models.serving.bundle_runtime import open_bundle
    from tasks.releases.pulling import pull

    folder = registry.home / "releases" / str(version.number)
    pull(registry, version, folder, wait=True)
    return open_bundle(folder, verify=False)
