"""Files and folders that are there whole or not at all: written aside, then put in their place by one rename."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from expectations.errors import Failure


def read_json(path: Path) -> Any:
    """Parse a JSON file."""
    return json.loads(path.read_text())


def write_json(path: Path, value: Any, *, durable: bool = True, private: bool = False) -> None:
    """Write JSON as `write_text` does."""
    text = json.dumps(value, indent=2, sort_keys=True, default=str) + "\n"
    write_text(path, text, durable=durable, private=private)


def write_text(path: Path, text: str, *, durable: bool = True, private: bool = False) -> None:
    """Write a text as `replacing` does.

    Raises:
        Failure: the file cannot be written; what stood there stands.
    """
    try:
        with replacing(path, durable=durable, private=private) as aside:
            aside.write_text(text)
    except OSError as error:
        raise Failure(
            f"{path}: cannot be written ({error.strerror}); free space or make the folder writable"
        ) from error


@contextmanager
def replacing(path: Path, *, durable: bool = True, private: bool = False) -> Iterator[Path]:
    """A name beside `path` to write to, whose file takes the place of `path` when the block ends well.

    A reader sees the old file or the new one, never half of one; several may write at once.

    Args:
        durable: the file, and that it is there, outlast a loss of power from then on. Of no use in a folder that is
            itself moved into place later.
        private: only its owner can read it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:6]}")
    try:
        if private:
            aside.touch(mode=0o600)
        yield aside
        if durable:
            _sync(aside)
        aside.replace(path)
        if durable:
            with suppress(OSError):  # some file systems, of other systems' servers say, sync no folders
                _sync(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def place(folder: Path, target: Path, mark: str = "") -> None:
    """Put a finished folder in its place, or drop it when somebody else has put the same there first.

    Folders are not synced: what is in them is large, can be made again, and has its hashes in a manifest.

    Args:
        mark: file of a target that counts as finished; without it any target does.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.rename(target)
    except OSError:
        if not (target / mark).exists():
            raise
        shutil.rmtree(folder, ignore_errors=True)
