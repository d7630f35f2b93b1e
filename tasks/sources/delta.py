"""Delta tables: which files a version has, under which names their columns stand, and which of their rows are deleted.

`deltalake` replays the log; it reads neither column mapping nor every type that was widened, so the rows are read by
`tasks.sources.table_files`. Protocol: https://github.com/delta-io/delta/blob/master/PROTOCOL.md
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from expectations.errors import UserError
from tasks.sources.reading import DataFile
from tasks.sources.table_files import DELTA, Column, Member

LOG = "_delta_log"

_UNDERSTOOD = {
    "columnMapping",
    "deletionVectors",
    "timestampNtz",
    "typeWidening",
    "v2Checkpoint",
    "vacuumProtocolCheck",
}
_NONE = np.empty(0, np.int64)
_PHYSICAL, _ID = b"delta.columnMapping.physicalName", b"delta.columnMapping.id"


def delta_files(folder: Path, key: str, snapshot: str) -> tuple[DataFile, ...]:
    """Files of a Delta table, the newest version or the one asked for; whatever is committed later changes none.

    Args:
        key: setting that named the folder, for messages.
        snapshot: number of a version, or ISO 8601 time.

    Raises:
        UserError: there is no such version, it cannot be read, or its files are gone.
    """
    try:
        with _plain(folder) as opened:
            table = DeltaTable(opened)
            history = {int(h["version"]): int(h["timestamp"]) for h in table.history() if "timestamp" in h}
            if snapshot:
                _travel(table, folder, key, snapshot, history)
            _refuse_features(folder, key, table)
            added = pa.table(table.get_add_actions()).to_pylist()
            schema = pa.schema(table.schema().to_arrow())
            deleted = _deleted(table, opened, folder)
    except (DeltaError, OSError) as error:
        raise UserError(
            f"{key}: {folder} has a {LOG} that deltalake cannot read ({str(error).splitlines()[0]}); "
            "repair the table, or write it anew"
        ) from error
    when = history.get(table.version())
    told = f"version {table.version()}" + (f" of {_iso(when)}" if when else "")
    named_by_id = table.metadata().configuration.get("delta.columnMapping.mode") == "id"
    files = []
    for one in sorted(added, key=lambda one: one["path"]):
        path = _path(folder, key, one["path"])
        columns = tuple(_column(field, one.get("partition") or {}, named_by_id) for field in schema)
        member = Member(f"Delta table {folder}, {told}", columns, deleted.pop(path, _NONE))
        name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
        files.append(DataFile(path, name, DELTA, member=member))
    assert not deleted, f"rows are deleted from files that the table does not have: {list(deleted)[:3]}"
    if gone := [f.name for f in files if not f.path.is_file()]:
        raise UserError(
            f"{key}: {len(gone)} of the {len(files)} files of {told} of {folder} are gone, such as {gone[0]}: "
            f"VACUUM deletes those of old versions; choose a newer {snapshot_of(key)}, or leave it empty for the newest"
        )
    return tuple(files)


def _travel(table: DeltaTable, folder: Path, key: str, snapshot: str, history: dict[int, int]) -> None:
    """Open the version that was asked for.

    Times are those that commits tell of themselves: those of their files change when a folder is copied.

    Args:
        history: milliseconds since 1970 by version.
    """
    newest = table.version()
    oldest = min(history, default=newest)
    there = f"{folder} has the versions {oldest} to {newest}"
    version = int(snapshot) if snapshot.isdecimal() else None
    if version is None:
        asked = time_asked_for(snapshot, key).timestamp() * 1000
        if len(history) <= newest - oldest:
            raise UserError(
                f"{key}: the log of {folder} does not tell when each version was made; "
                f"set {snapshot_of(key)} to the number of one"
            )
        made = [version for version, ms in history.items() if ms <= asked]
        if not made:
            raise UserError(
                f"{key}: {there}, the first of {_iso(history[oldest])}, and so none of {snapshot}; choose a later time"
            )
        version = max(made)
    try:
        table.load_as_version(version)
    except DeltaError:
        raise UserError(
            f"{key}: there is no version {version}; {there}, set {snapshot_of(key)} to one of them"
        ) from None


def snapshot_of(key: str) -> str:
    """The setting beside that of a path that says which state of it is read."""
    return f"{key.removesuffix('.path')}.snapshot"


def time_asked_for(snapshot: str, key: str) -> datetime:
    """The time that a snapshot is asked for by; UTC where it has no offset.

    Args:
        key: setting that named the folder, for messages.

    Raises:
        UserError: it is none.
    """
    try:
        time = datetime.fromisoformat(snapshot)
    except ValueError:
        raise UserError(
            f"{key}: {snapshot_of(key)} is {snapshot!r}; give the number of a version or a time, such as "
            "2026-03-01T06:00Z"
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _refuse_features(folder: Path, key: str, table: DeltaTable) -> None:
    if unknown := sorted(_features(table) - _UNDERSTOOD):
        raise UserError(
            f"{key}: {folder} uses what is not understood here ({', '.join(unknown)}); turn it off "
            f"(ALTER TABLE ... DROP FEATURE {unknown[0]}), or write the table anew without it"
        )


def _features(table: DeltaTable) -> set[str]:
    return {name.removesuffix("-preview") for name in table.protocol().reader_features or ()}


def _path(folder: Path, key: str, path: str) -> Path:
    """Where a file of the log lies: relative to the table, or elsewhere, as in a shallow clone."""
    if "://" in path or path.startswith("file:"):
        scheme, _, rest = path.partition(":")
        if scheme != "file":
            raise UserError(f"{key}: {folder} has files elsewhere, such as {path}; copy the whole table here")
        return Path("/" + unquote(rest).lstrip("/"))
    return folder / unquote(path)


def _column(field: pa.Field, partition: dict[str, Any], named_by_id: bool) -> Column:
    said = field.metadata or {}
    name = said.get(_PHYSICAL, field.name.encode()).decode()
    stored = int(said[_ID]) if named_by_id else name
    return Column(field.name, field.type, stored, (name,), partition.get(field.name))


def _deleted(table: DeltaTable, name: Path, folder: Path) -> dict[Path, np.ndarray]:
    """Places of deleted rows, by file; the table in `folder` was opened as `name`."""
    found: dict[Path, np.ndarray] = {}
    if "deletionVectors" not in _features(table):
        return found
    root = name.resolve()
    for batch in pa.RecordBatchReader.from_stream(table.deletion_vectors()):
        for uri, kept in zip(batch["filepath"].to_pylist(), batch["selection_vector"], strict=True):
            path = Path(unquote(uri.removeprefix("file://")))
            mask = kept.values.to_numpy(zero_copy_only=False)
            found[folder / path.relative_to(root) if path.is_relative_to(root) else path] = np.flatnonzero(~mask)
    return found


@contextmanager
def _plain(folder: Path) -> Iterator[Path]:
    """A folder for deltalake, which takes `%2F` in a path for a slash, behind a link to the log too: so that is copied.
    There are links to all else, as deletion vectors may lie in files."""
    if "%" not in str(folder.resolve()):
        yield folder
        return
    with TemporaryDirectory(prefix="nightjar-", dir="/tmp" if "%" in gettempdir() else None) as aside:
        shutil.copytree(folder / LOG, Path(aside) / LOG)
        for beside in folder.resolve().iterdir():
            if beside.name != LOG:
                (Path(aside) / beside.name).symlink_to(beside)
        yield Path(aside)
