"""Tables that keep a record of their files: told apart by what lies in their folder, before any file of theirs is read.

Without that record, rows that were deleted return, and columns have their old names.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from expectations.errors import UserError
from tasks.sources.reading import DataFile

METADATA = ".metadata.json"
"""How the names of files that describe an Iceberg table end."""

KINDS: dict[str, Callable[[Path], bool]] = {
    "Delta": lambda folder: (folder / "_delta_log").is_dir(),
    "Iceberg": lambda folder: any((folder / "metadata").glob(f"*{METADATA}")),
    "Hudi": lambda folder: (folder / ".hoodie").is_dir(),
}
"""By what a folder is recognised as a table of a format."""

READERS = {"Delta": "tasks.sources.delta:delta_files", "Iceberg": "tasks.sources.iceberg:iceberg_files"}
"""`module:function` that finds the files of one; imported only where there is such a table."""


def table_format(folder: Path) -> str:
    """Format of the table in a folder; empty where there is none."""
    return next((name for name, is_one in KINDS.items() if is_one(folder)), "")


def table_files(path: Path, key: str, snapshot: str) -> tuple[DataFile, ...]:
    """Files of the table at a path; none where there is no such table.

    Args:
        key: setting that named the path, for messages.
        snapshot: state of the table that was asked for; empty for the newest.

    Raises:
        UserError: the table cannot be read, or the path is a part of one.
    """
    name = "Iceberg" if path.name.endswith(METADATA) else table_format(path) if path.is_dir() else ""
    if not name:
        for folder in path.parents:
            refuse_table(folder, f"{key}: {path} is a part of")
        if snapshot:
            raise UserError(f"{key}: {path} is no Delta or Iceberg table, and has no snapshots; leave snapshot empty")
        return ()
    if name not in READERS:
        raise UserError(
            f"{key}: {path} is a {name} table, which cannot be read: its Parquet files have old rows beside new ones; "
            "write its newest snapshot as Parquet (spark.read.format('hudi').load(...).write.parquet(...))"
        )
    module, function = READERS[name].split(":")
    files: tuple[DataFile, ...] = getattr(import_module(module), function)(path, key, snapshot)
    if not files:
        raise UserError(f"{key}: the {name} table {path} has no rows in this state; give one that has")
    return files


def refuse_table(folder: Path, what: str) -> None:
    """Refuse a folder that is a table by itself.

    Args:
        what: how the sentence begins: which path has to do with it, and how.

    Raises:
        UserError: it is one.
    """
    if name := table_format(folder):
        raise UserError(
            f"{what} the {name} table {folder}, whose files mean nothing without its record (deleted rows would "
            "return); give that folder itself"
        )
