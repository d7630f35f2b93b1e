"""Numpy columns to Arrow: names of categories, days and times, declared types."""

from collections.abc import Mapping, Sequence
from datetime import date as Date

import numpy as np
import pyarrow as pa

from expectations.datasets import Dataset

_EPOCH = Date(1970, 1, 1).toordinal()
DAY_US = 86_400_000_000


def named(names: Sequence[str] | np.ndarray, index: np.ndarray) -> pa.Array:
    """Strings by their index; null where it is negative."""
    missing = index < 0
    return pa.array(names, pa.string()).take(pa.array(index, mask=missing if missing.any() else None))


def midnight(day: np.ndarray | int) -> np.ndarray:
    """Moment (UTC) at which a day (ordinal) begins, int64 microseconds since 1970."""
    return (np.asarray(day, dtype=np.int64) - _EPOCH) * DAY_US


def dates(day: np.ndarray) -> pa.Array:
    """Days (ordinals) as dates."""
    return pa.array((day - _EPOCH).astype(np.int32)).cast(pa.date32())


def as_table(dataset: Dataset, columns: Mapping[str, np.ndarray | pa.Array]) -> pa.Table:
    """Columns in the declared order and types; whole numbers become times where times are declared."""
    arrays = [_column(columns[field.name], field.type) for field in dataset.schema]
    return pa.Table.from_arrays(arrays, schema=dataset.schema)


def _column(values: np.ndarray | pa.Array, type_: pa.DataType) -> pa.Array:
    if isinstance(values, np.ndarray) and not pa.types.is_temporal(type_):
        values = values.astype(type_.to_pandas_dtype(), copy=False)
    return pa.array(values).cast(type_)
