"""The registry that a command speaks to: the one it is given, else the home's; and a release out of it, opened."""

import os
from typing import Any

from expectations.errors import Failure
from flows.home import home_folder, prepare
from tasks.machine.home import from_here
from tasks.registry.registry import MODEL, Registry, Version


def answer_soon() -> None:
    """Have MLflow tell within seconds that nobody answers, not within minutes."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")


def open_registry(url: str) -> Registry:
    """A registry that answers.

    Raises:
        Failure: it does not, or not to us.
    """
    answer_soon()
    home = home_folder()
    prepare(home)
    registry = Registry(home, from_here(url))
    registry.check()
    return registry


def find_release(registry: Registry, reference: str) -> Version:
    """The version that a reference names; `@champion`, also by no name at all, is what the ledger says.

    Raises:
        UserError: there is none.
        Failure: somebody has set the alias `champion` beside the ledger, or the champion's version is gone.
    """
    from tasks.registry.ledger import CHAMPION, Ledger, head

    named = reference.strip().removeprefix("models:/").removeprefix(MODEL)
    if named not in ("@", f"@{CHAMPION}") and not (named == "" and MODEL in reference):
        return registry.find(reference)
    ledger = Ledger(registry)
    newest = head(ledger.entries())
    if newest is None:
        number = registry.find(reference).number
        raise Failure(
            f"{CHAMPION} is version {number} by its alias, but the ledger knows of no champion, so nobody vouches for "
            f'that; name the version, or make it so: nightjar promote {number} --why "..."'
        )
    number = ledger.champion()
    if not number:
        raise Failure(
            f"the champion was version {newest.to}, which is gone from the registry; its night registers it again, or "
            'make another one champion: nightjar promote VERSION --why "..."'
        )
    return registry.find(str(number))


def open_release(registry: Registry, version: Version, trust: bool = False) -> Any:
    """The bundle of a version, through its own runtime; its copy in `<home>/releases` is made or brought up to date.

    Args:
        trust: open it although nobody vouches for it.

    Raises:
        Failure: nobody vouches for it, or it does not come whole.
    """
    from models.serving.bundle_runtime import open_bundle
    from tasks.releases.pulling import pull

    # By what it is: another registry has another release under the same number.
    folder = registry.home / "releases" / (version.digest[:16] or f"version-{version.number}")
    pull(registry, version, folder, wait=True, trust=trust)
    return open_bundle(folder, verify=False)
