"""Content digests: equal tables have equal digests, whatever the order, files, chunks or writer behind them."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class _Hash(Protocol):
    def update(self, data: Any, /) -> None: ...


def table_digest(table: pa.Table, key: tuple[str, ...]) -> str:
    """Sha256 of a table's values, sorted by `key`, column after column in the order of the schema."""
    table = table.combine_chunks()
    if key and not _is_sorted(table, key):
        table = table.sort_by([(name, "ascending") for name in key])
    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        digest.update(f"{name}:{column.type}:{len(column)};".encode())
        _feed(digest, pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type))
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """Sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_sha256(paths: Iterable[Path]) -> list[str]:
    """Sha256 of many files; hashing releases the GIL, so threads help."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(file_sha256, paths))


def _is_sorted(table: pa.Table, key: tuple[str, ...]) -> bool:
    """Whether integer keys ascend already (most writers sort), which is much cheaper to see than to sort."""
    tied = np.ones(max(table.num_rows - 1, 0), dtype=bool)
    for name in key:
        if not pa.types.is_integer(table[name].type) or table[name].null_count:
            return False
        values = table[name].to_numpy()
        if bool((tied & (values[1:] < values[:-1])).any()):
            return False
        tied &= values[1:] == values[:-1]
    return True


def _feed(digest: _Hash, array: pa.Array) -> None:
    """Feed values, not buffers: bytes under nulls, offsets and padding differ between writers."""
    if array.null_count:
        digest.update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes())
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        lengths = pc.list_value_length(array).fill_null(0)
        _feed(digest, lengths.cast(pa.int64()))
        _feed(digest, pc.list_flatten(array))
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        filled = array.fill_null("").cast(pa.large_binary())
        _feed(digest, pc.binary_length(filled))
        digest.update(_string_bytes(filled))
    elif pa.types.is_boolean(array.type):
        digest.update(np.packbits(array.fill_null(False).to_numpy(zero_copy_only=False)).tobytes())
    else:
        digest.update(np.ascontiguousarray(_numbers(array)).data)


def _numbers(array: pa.Array) -> np.ndarray:
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.int64())
    elif pa.types.is_date32(array.type):
        array = array.cast(pa.int32())
    return np.asarray(array.fill_null(0).to_numpy(zero_copy_only=False))


def _string_bytes(array: pa.Array) -> memoryview:
    _, offsets, data = array.buffers()
    if data is None:
        return memoryview(b"")
    bounds = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    return memoryview(data)[int(bounds[0]) : int(bounds[-1])]
