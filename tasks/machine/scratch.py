"""Folders in scratch that are there whole or not at all, shared by runs at the same time, and deleted when old."""

import shutil
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.machine.processes import owner_is_alive, owner_tag

KEPT_S = 2 * 86_400
"""What no scan has asked for during this time is deleted; no night that still reads it runs longer."""


@contextmanager
def aside(parent: Path) -> Iterator[Path]:
    """A new hidden folder to write in; gone afterwards, unless moved."""
    folder = parent / f".{owner_tag()}-{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep_asides(folder: Path) -> None:
    """Delete the folders that killed runs have written in."""
    for path in folder.glob(".*-*"):
        if not owner_is_alive(path.name[1:].rsplit("-", 1)[0]):
            shutil.rmtree(path, ignore_errors=True)


def sweep(folder: Path, used: Collection[str]) -> None:
    """Delete what is in a folder and has not been used for long, and what killed runs have left half done."""
    sweep_asides(folder)
    now = time.time()
    for path in folder.iterdir():
        if path.name in used:
            path.touch()
        elif not path.name.startswith(".") and now - path.stat().st_mtime > KEPT_S:
            shutil.rmtree(path, ignore_errors=True)
