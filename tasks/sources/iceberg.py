"""Iceberg tables: which files a snapshot has, by which ids their columns are found, which of their rows are deleted.

`pyiceberg` reads the metadata and plans the scan; the rows are read by `tasks.sources.table_files`. The metadata names
files by whole paths: those below the table's own location are looked for where the table lies now, so it may have been
moved, or copied from an object store. Specification: https://iceberg.apache.org/spec/
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow.parquet as pq
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.exceptions import ValidationError
from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile as IcebergFile
from pyiceberg.manifest import FileFormat
from pyiceberg.schema import Schema
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import FileScanTask, Table
from pyiceberg.table.deletion_vector import deletion_vectors_from_puffin_file
from pyiceberg.table.puffin import PuffinFile
from pyiceberg.transforms import IdentityTransform

from expectations.errors import UserError
from tasks.sources.delta import time_asked_for
from tasks.sources.reading import DataFile
from tasks.sources.table_files import ICEBERG, Column, Member
from tasks.sources.table_formats import METADATA


class _LocalFile(InputFile):
    """A file of this machine."""

    def __init__(self, location: str, path: Path) -> None:
        super().__init__(location)
        self.path = path

    def __len__(self) -> int:
        return self.path.stat().st_size

    def exists(self) -> bool:
        return self.path.is_file()

    def open(self, seekable: bool = True) -> InputStream:
        return self.path.open("rb")


class _Files(FileIO):
    """The files of a table, wherever it lies now; nothing is written, and no network is asked."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.location = folder, str(folder)

    def path(self, location: str) -> Path:
        """Where a file is that the metadata names."""
        if location.startswith(f"{self.location}/"):
            return self.folder / location.removeprefix(f"{self.location}/")
        return Path(unquote(urlsplit(location).path) if location.startswith("file:") else location)

    def new_input(self, location: str) -> InputFile:
        return _LocalFile(location, self.path(location))

    def new_output(self, location: str) -> OutputFile:
        raise NotImplementedError

    def delete(self, location: str | InputFile | OutputFile) -> None:
        raise NotImplementedError


def iceberg_files(path: Path, key: str, snapshot: str) -> tuple[DataFile, ...]:
    """Files of an Iceberg table, the current snapshot or the one asked for.

    Args:
        path: folder of the table, or one of its metadata files.
        key: setting that named it, for messages.
        snapshot: id of a snapshot, or ISO 8601 time.

    Raises:
        UserError: there is no such snapshot, it cannot be read, or its files are gone.
    """
    metadata_file = path if path.is_file() else _newest(path, key)
    folder = metadata_file.parent.parent
    files = _Files(folder)
    try:
        metadata = FromInputFile.table_metadata(_LocalFile(str(metadata_file), metadata_file))
        files.location = metadata.location.rstrip("/")
        table = Table((folder.name,), metadata, str(metadata_file), files, NoopCatalog("none"))
        id_ = _snapshot(table, folder, key, snapshot)
        scan = table.scan(snapshot_id=id_)
        tasks = sorted(scan.plan_files(), key=lambda task: task.file.file_path)
        schema = scan.projection()
    except FileNotFoundError as error:
        raise UserError(
            f"{key}: {error.filename}, which {metadata_file} names, is not there; copy the whole table, or give the "
            "newest metadata file"
        ) from None
    except (ValueError, ValidationError, NotImplementedError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{key}: {metadata_file} cannot be read by pyiceberg ({reason}); {_remedy(reason)}") from None
    return _members(table, tasks, schema, files, key, f"Iceberg table {folder}, {_told(table, id_)}")


def _newest(folder: Path, key: str) -> Path:
    """The metadata file of the newest version: a folder has no catalogue that would say which one counts."""
    there = sorted((folder / "metadata").glob(f"*{METADATA}"))
    numbered = {path: int(number) for path in there if (number := _number(path))}
    hint = folder / "metadata" / "version-hint.text"
    hinted = int(hint.read_text()) if hint.is_file() and hint.read_text().strip().isdecimal() else 0
    newest = [path for path, number in numbered.items() if number == max(numbered.values())]
    if len(newest) != 1 or numbered[newest[0]] < hinted:
        raise UserError(
            f"{key}: {folder}/metadata does not say which of its files is the newest; give as path the "
            f"*{METADATA} that the catalogue names"
        )
    return newest[0]


def _number(path: Path) -> str:
    """`v3.metadata.json` and `00003-....metadata.json` are of version 3."""
    begins = path.name.split(".")[0].split("-")[0].removeprefix("v")
    return begins if begins.isdecimal() else ""


def _snapshot(table: Table, folder: Path, key: str, asked: str) -> int | None:
    if not asked:
        current = table.current_snapshot()
        return current.snapshot_id if current else None
    there = [(s.snapshot_id, _iso(s.timestamp_ms)) for s in table.snapshots()]
    told = "; ".join(f"{id_} of {time}" for id_, time in there[-5:])
    if asked.lstrip("-").isdecimal():
        if int(asked) in dict(there):
            return int(asked)
    elif found := table.snapshot_as_of_timestamp(int(time_asked_for(asked, key).timestamp() * 1000)):
        return found.snapshot_id
    raise UserError(f"{key}: {folder} has no snapshot {asked}; the last that it has are {told}; choose one of them")


def _told(table: Table, id_: int | None) -> str:
    found = table.snapshot_by_id(id_) if id_ is not None else None
    return f"snapshot {id_} of {_iso(found.timestamp_ms)}" if found else "without a snapshot"


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _remedy(reason: str) -> str:
    if "equality deletes" in reason:
        return "merge them into the data first (rewrite_data_files with delete-file-threshold 1, or a compaction)"
    return "give another metadata file, or write the table anew"


# --- files ---------------------------------------------------------------------------------------------------------


def _members(
    table: Table, tasks: list[FileScanTask], schema: Schema, files: _Files, key: str, snapshot: str
) -> tuple[DataFile, ...]:
    deletes = {one.file_path: one for task in tasks for one in task.delete_files}
    _check_files([*(task.file for task in tasks), *deletes.values()], files, key)
    positions = {path: _positions(one, files) for path, one in deletes.items()}
    found = []
    for task in tasks:
        path = files.path(task.file.file_path)
        named = [positions[one.file_path].get(task.file.file_path) for one in task.delete_files]
        deleted = np.unique(np.concatenate([np.empty(0, np.int64), *(p for p in named if p is not None)]))
        columns = _columns(table, schema, task.file)
        name = path.relative_to(files.folder).as_posix() if path.is_relative_to(files.folder) else str(path)
        found.append(DataFile(path, name, ICEBERG, member=Member(snapshot, columns, deleted)))
    return tuple(found)


def _check_files(all_files: Iterable[IcebergFile], files: _Files, key: str) -> None:
    for one in all_files:
        if one.file_format not in (FileFormat.PARQUET, FileFormat.PUFFIN):
            raise UserError(
                f"{key}: {one.file_path} is {one.file_format.value}; write the table anew with Parquet files"
            )
        if not files.path(one.file_path).is_file():
            raise UserError(
                f"{key}: {one.file_path} is not there, and the table needs it; copy the whole table, or choose "
                "a snapshot whose files have not expired"
            )


def _positions(delete: IcebergFile, files: _Files) -> dict[str, np.ndarray]:
    """Places of deleted rows, by file as the metadata names it."""
    path = files.path(delete.file_path)
    if delete.file_format == FileFormat.PUFFIN:
        vectors = deletion_vectors_from_puffin_file(PuffinFile(path.read_bytes()))
        return {v.referenced_data_file: v.to_vector().to_numpy().astype(np.int64) for v in vectors}
    rows = pq.read_table(path, columns=["file_path", "pos"], partitioning=None).to_pandas()
    return {str(name): some["pos"].to_numpy(np.int64) for name, some in rows.groupby("file_path")}


def _columns(table: Table, schema: Schema, file: IcebergFile) -> tuple[Column, ...]:
    """By ids, which a rename keeps; by names in files that were there before the table was."""
    mapping = table.name_mapping()
    names = {f.field_id: tuple(f.names) for f in mapping} if mapping else {}
    constants: dict[int, Any] = {f.field_id: f.initial_default for f in schema.fields}
    for place, part in enumerate(table.specs()[file.spec_id].fields):
        if isinstance(part.transform, IdentityTransform):
            constants[part.source_id] = file.partition[place]
    arrow = schema_to_pyarrow(schema, include_field_ids=False)
    return tuple(
        Column(f.name, type_.type, f.field_id, names.get(f.field_id, ()), constants.get(f.field_id))
        for f, type_ in zip(schema.fields, arrow, strict=True)
    )
