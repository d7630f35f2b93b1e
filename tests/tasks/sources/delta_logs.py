"""Delta logs written by hand: what `deltalake` reads, or should refuse, and does not write."""

import json
import struct
import uuid
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyroaring import BitMap

_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def column(name: str, type_: str, **said: Any) -> dict[str, Any]:
    """A field of the log's schema."""
    metadata = {f"delta.columnMapping.{key}": value for key, value in said.items()}
    return {"name": name, "type": type_, "nullable": True, "metadata": metadata}


def deletion_vector(rows: list[int]) -> dict[str, Any]:
    """Deleted rows, as the log has them inline: Z85 of a 64-bit roaring bitmap."""
    raw = _bitmap(rows)
    inline = _z85_of(raw + b"\0" * (-len(raw) % 4))
    return {"storageType": "i", "pathOrInlineDv": inline, "sizeInBytes": len(raw), "cardinality": len(rows)}


def deletion_vector_file(folder: Path, rows: list[int], prefix: str = "") -> dict[str, Any]:
    """Deleted rows in a file of their own, as Spark writes them, perhaps in a folder of some letters."""
    raw, name = _bitmap(rows), uuid.uuid4()
    (folder / prefix).mkdir(parents=True, exist_ok=True)
    content = b"\1" + struct.pack(">I", len(raw)) + raw + struct.pack(">I", zlib.crc32(raw))
    (folder / prefix / f"deletion_vector_{name}.bin").write_bytes(content)
    where = {"storageType": "u", "pathOrInlineDv": prefix + _z85_of(name.bytes), "offset": 1}
    return where | {"sizeInBytes": len(raw), "cardinality": len(rows)}


def _bitmap(rows: list[int]) -> bytes:
    return struct.pack("<IQI", 1681511377, 1, 0) + BitMap(rows).serialize()


def _z85_of(raw: bytes) -> str:
    return "".join(map(_z85, struct.iter_unpack(">I", raw)))


def _z85(word: tuple[int]) -> str:
    digits, left = "", word[0]
    for _ in range(5):
        left, digit = divmod(left, 85)
        digits = _Z85[digit] + digits
    return digits


def _physical(field: dict[str, Any]) -> str:
    return str(field["metadata"].get("delta.columnMapping.physicalName", field["name"]))


def write_log(
    folder: Path,
    table: pa.Table,
    columns: list[dict[str, Any]],
    features: tuple[str, ...] = (),
    partition: dict[str, str] | None = None,
    configuration: dict[str, str] | None = None,
    **said: Any,
) -> Path:
    """A table of one version with one file, and what the log says of it."""
    (folder / "_delta_log").mkdir(parents=True)
    pq.write_table(table, folder / "part 0.parquet")
    add = {
        "path": "part%200.parquet",
        "partitionValues": partition or {},
        "size": (folder / "part 0.parquet").stat().st_size,
        "modificationTime": 0,
        "dataChange": True,
        "stats": json.dumps({"numRecords": table.num_rows}),
        **said,
    }
    metadata = {
        "id": "0",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": columns}),
        "partitionColumns": [c["name"] for c in columns if _physical(c) in (partition or {})],
        "configuration": configuration or {},
        "createdTime": 0,
    }
    protocol = {"minReaderVersion": 2, "minWriterVersion": 5}
    if features:
        protocol = {"minReaderVersion": 3, "minWriterVersion": 7}
        protocol |= {"readerFeatures": list(features), "writerFeatures": list(features)}  # type: ignore[dict-item]
    actions = [{"protocol": protocol}, {"metaData": metadata}, {"add": add}]
    (folder / "_delta_log" / f"{0:020}.json").write_text("\n".join(map(json.dumps, actions)))
    return folder
