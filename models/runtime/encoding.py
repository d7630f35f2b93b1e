"""Rows of users and items as model inputs; training and serving both call this, so they cannot disagree."""

import zlib
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
            it is cut or padded to, for `number` its `mean`, `std` and `transform` (see `transformed`), for `vector`
            the `length` that all its rows have, for `hashed` the `length` last words that count and what `hash_words`
            wants.

    Returns:
        name -> int64 `[N]` (category), int64 `[N, length]` (bag), float32 `[N]` (number, 0 where missing), float32
        `[N, length]` (vector, zeros where missing) or int64 `[N, length * pieces]` (hashed, 0 where there is no word).
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
    numbers = transformed(numbers, field["transform"])
    return np.nan_to_num((numbers - field["mean"]) / field["std"], nan=0.0).astype(np.float32)


def transformed(numbers: np.ndarray, transform: str) -> np.ndarray:
    """Numbers as they are standardised: `none`, `log1p`, `square` or `sqrt`; logarithm and root take 0 for less."""
    match transform:
        case "log1p":
            return np.log1p(np.maximum(numbers, 0))
        case "square":
            return np.square(numbers)
        case "sqrt":
            return np.sqrt(np.maximum(numbers, 0))
        case _:
            return numbers


def _encode_vector(values: pa.ListArray, field: Mapping[str, Any]) -> np.ndarray:
    encoded = np.zeros((len(values), field["length"]), dtype=np.float32)
    present = values.is_valid().to_numpy(zero_copy_only=False)
    flat = pc.list_flatten(values).to_numpy(zero_copy_only=False)
    encoded[present] = np.nan_to_num(flat.reshape(-1, field["length"]), nan=0.0)
    return encoded


def _encode_hashed(values: pa.ListArray, field: Mapping[str, Any]) -> np.ndarray:
    encoded = np.zeros((len(values), field["length"], field["pieces"]), dtype=np.int64)
    rows = pc.list_parent_indices(values).to_numpy(zero_copy_only=False)
    words = pc.list_flatten(values).dictionary_encode()
    places = field["length"] - (np.searchsorted(rows, rows, side="right") - np.arange(len(rows)))
    kept = places >= 0
    encoded[rows[kept], places[kept]] = hash_words(words.dictionary.to_pylist(), field)[words.indices.to_numpy()[kept]]
    return encoded.reshape(len(values), -1)


def hash_words(words: Sequence[str], field: Mapping[str, Any]) -> np.ndarray:
    """int64 `[W, pieces]`: buckets, from 1, of each word (`hashing` is `words`) or of its first letter trigrams, its
    ends marked by `#` (`trigrams`); 0 fills up."""
    hashed = np.zeros((len(words), field["pieces"]), dtype=np.int64)
    for row, word in enumerate(words):
        marked = f"#{word}#"
        trigrams = [marked[place : place + 3] for place in range(len(word))]
        pieces = [word] if field["hashing"] == "words" else trigrams[: field["pieces"]]
        hashed[row, : len(pieces)] = [zlib.crc32(piece.encode()) % field["buckets"] + 1 for piece in pieces]
    return hashed


_ENCODE = {
    "category": _encode_category, "bag": _encode_bag, "number": _encode_number, "vector": _encode_vector,
    "hashed": _encode_hashed,
}  # fmt: skip
