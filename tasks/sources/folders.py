"""Folders of data: whatever a place is called, by a link or with `..`, it is the same place."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from expectations.errors import UserError
from tasks.sources.table_formats import refuse_table

_COPY = re.compile(r"(.+?)( \(\d+\)| copy( \d+)?| - Copy( \(\d+\))?)")
"""What browsers and file managers call the second of two files of one name, such as `log (1)`."""


def real(path: Path) -> Path:
    """The one name of a place. A link to a file keeps its own: its ending says what is in the file."""
    absolute = path.expanduser().absolute()
    return absolute.resolve() if absolute.is_dir() else absolute.parent.resolve() / absolute.name


def check_link(path: Path, key: str) -> None:
    """Refuse a link that leads nowhere.

    Raises:
        UserError: it is one.
    """
    if not path.is_symlink():
        return
    try:
        path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        how = "leads in a circle" if not isinstance(error, FileNotFoundError) else "leads to nothing"
        raise UserError(f"{key}: {path} is a link to {path.readlink()} and {how}; correct it or take it away") from None


def files_below(root: Path, key: str, without: Collection[Path] = ()) -> Iterator[Path]:
    """Files below a folder in order of name; what begins with `.` or `_` (`_SUCCESS`) is bookkeeping, and none.

    Args:
        key: setting that named the folder, for messages.
        without: files and folders that are something else, each by its one name.

    Raises:
        UserError: a link leads nowhere, or in a circle; a folder is a table that keeps a record of its files.
    """
    return _below(root, root, key, {path.resolve() for path in without})


def _below(folder: Path, root: Path, key: str, without: set[Path], above: tuple[Path, ...] = ()) -> Iterator[Path]:
    above = (*above, folder.resolve())
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")):
            continue
        check_link(path, key)
        place = path.resolve()
        if place in without:
            continue
        if not path.is_dir():
            yield path
        elif place in above:
            raise UserError(f"{key}: {path} is a link to {place}, a folder that it is in; take the link away")
        else:
            refuse_table(path, f"{key}: {root} has in it")
            yield from _below(path, root, key, without, above)


def refuse_copies(paths: Collection[Path], key: str) -> None:
    """Refuse a file that is called like a copy of one beside it: its rows would count twice.

    Raises:
        UserError: there is one.
    """
    there = set(paths)
    for path in paths:
        name, dot, ending = path.name.partition(".")
        found = _COPY.fullmatch(name)
        if found and (original := path.with_name(found[1] + dot + ending)) in there:
            raise UserError(
                f"{key}: {path} is called like a copy of {original.name} beside it, whose rows would count twice; "
                "take one of them away, rename it if it is none, or give the path of one file"
            )
