"""The runtime of a release: retrieve, filter, rank, order.

This one file is copied verbatim into every bundle. It needs numpy, pyarrow, faiss and onnxruntime, and nothing of
Nightjar: what was judged in the night is what a consumer serves.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def encode(table: pa.Table, fields: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Turn rows into model inputs; training and serving both call this, so they cannot disagree.

    Args:
        table: N rows of users or items.
        fields: one mapping a field, as in `encoders.json`: `name` (of the input), `column`, `kind`, and for
            `category` and `bag` the `vocabulary` (index = place + 1; 0 is unknown or missing), for `bag` the `length`
            it is cut or padded to, for `number` its `mean`, `std` and `transform` (`none` or `log1p`), for `vector`
            the `length` that all its rows have.

    Returns:
        name -> int64 `[N]` (category), int64 `[N, length]` (bag), float32 `[N]` (number, 0 where missing) or
        float32 `[N, length]` (vector, zeros where missing).
    """
    return {field["name"]: _ENCODE[field["kind"]](table[field["column"]].combine_chunks(), field) for field in fields}


def _encode_category(values: pa.Array, field: Mapping[str, Any]) -> np.ndarray:
    found = pc.index_in(values, value_set=pa.array(field["vocabulary"], type=values.type))
    return pc.add(found.cast(pa.int64()), 1).fill_null(0).to_numpy(zero_copy_only=False)


def _encode_bag(values: pa.ListArray, field: Mapping[str, Any]) -> np.ndarray:
    encoded = np.zeros((len(values), field["length"]), dtype=np.int64)
    rows = pc.list_parent_indices(values).to_numpy(zero_copy_only=False)
    flat = _encode_category(pc.list_flatten(values), field)
    starts = np.searchsorted(rows, rows)
    places = np.arange(len(rows)) - starts
    kept = places < field["length"]
    encoded[rows[kept], places[kept]] = flat[kept]
    return encoded


def _encode_number(values: pa.Array, field: Mapping[str, Any]) -> np.ndarray:
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    if field["transform"] == "log1p":
        numbers = np.log1p(np.maximum(numbers, 0))
    return np.nan_to_num((numbers - field["mean"]) / field["std"], nan=0.0).astype(np.float32)


def _encode_vector(values: pa.ListArray, field: Mapping[str, Any]) -> np.ndarray:
    encoded = np.zeros((len(values), field["length"]), dtype=np.float32)
    present = values.is_valid().to_numpy(zero_copy_only=False)
    flat = pc.list_flatten(values).to_numpy(zero_copy_only=False)
    encoded[present] = np.nan_to_num(flat.reshape(-1, field["length"]), nan=0.0)
    return encoded


_ENCODE = {"category": _encode_category, "bag": _encode_bag, "number": _encode_number, "vector": _encode_vector}
