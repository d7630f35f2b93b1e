"""Releases that earlier code has made, as files that stay; `tests/data/README.md` says how they were made."""

import tarfile
from pathlib import Path

from tasks.registry.release_layout import FOLDER

DATA = Path(__file__).parent / "data"


def unpack(folder: Path, name: str = "release-of-format-1") -> Path:
    """A kept release in a folder of one's own, called as the registry wants it."""
    with tarfile.open(DATA / f"{name}.tar.xz") as archive:
        archive.extractall(folder / FOLDER, filter="data")
    return folder / FOLDER
