"""Values as drivers of databases give them, as Arrow arrays that mean the same in a Parquet file."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

_INT64 = range(-(2**63), 2**63)


def as_array(values: Sequence[Any]) -> pa.Array:
    """One column of some rows; text where values are of several kinds, as SQLite allows."""
    kinds = {type(v) for v in values if v is not None}
    for known, to_array in _TO_ARRAY:
        if kinds and all(issubclass(kind, known) for kind in kinds):
            return to_array(values)
    return _texts(values)


def _whole(values: Sequence[Any]) -> pa.Array:
    if all(v is None or v in _INT64 for v in values):
        return pa.array([None if v is None else int(v) for v in values], pa.int64())
    return _texts(values)


def _times(values: Sequence[Any]) -> pa.Array:
    """Where some have a zone, those without one are UTC, as everywhere."""
    aware = any(v is not None and v.tzinfo for v in values)
    zoned = [v if v is None or v.tzinfo or not aware else v.replace(tzinfo=UTC) for v in values]
    return pa.array(zoned, pa.timestamp("us", tz="UTC" if aware else None))


def _texts(values: Sequence[Any]) -> pa.Array:
    return pa.array([None if v is None else _text(v) for v in values], pa.string())


def _text(value: Any) -> str | None:
    if isinstance(value, Decimal):
        # Not 7.00 and not 7E+2, which are other ids than 700.
        text = f"{value:f}"
        whole = text.rstrip("0").rstrip(".") if "." in text else text
        return ("0" if whole == "-0" else whole) if value.is_finite() else None
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str)
    return str(value)


def _lists(values: Sequence[Any]) -> pa.Array:
    return pa.array([None if v is None else [None if w is None else str(w) for w in v] for v in values])


_TO_ARRAY: tuple[tuple[Any, Callable[[Sequence[Any]], pa.Array]], ...] = (
    (int, _whole),  # and bool
    (float, lambda values: pa.array(values, pa.float64())),
    (datetime, _times),
    (date, lambda values: pa.array(values, pa.date32())),
    ((bytes, bytearray, memoryview), lambda values: pa.array([None if v is None else bytes(v) for v in values])),
    ((list, tuple), _lists),
    ((str, Decimal, UUID), _texts),
)
"""Kinds of values that are all of a column; `datetime` before `date`, of which it is one."""
