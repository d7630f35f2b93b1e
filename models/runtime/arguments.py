"""What may be asked: the check of every argument of every public method, in one place.

Each check takes the argument's name and what was given, and gives it back in the form that the runtime works with, or
raises a `BundleError` that names the argument, what was given and what is allowed.
"""

import datetime
import math
import os
import reprlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from .errors import BundleError

MOST_K = 1000
"""Longest list; picking one item after another takes time that grows with the square of the length."""
MOST_THREADS = 1024
MOST_AGE = 120
MOST = {"age": MOST_AGE}
"""Column of `users` -> its largest number, where that is less than the column holds."""
_SHORT = reprlib.Repr()
"""How a message shows what was given."""
_SHORT.maxstring = _SHORT.maxother = 60


def told(name: str, given: Any, allowed: str) -> str:
    """What is said of an argument that is refused."""
    shown = "too long to show" if isinstance(given, int) and abs(given) >= 10**60 else _SHORT.repr(given)
    return f"{name} is {' '.join(shown.split())} ({type(given).__name__}); allowed: {allowed}"


def whole_number(name: str, given: Any, least: int, most: float) -> int:
    """A whole number from `least` to `most`; numpy's are some, bools and floats are none."""
    if not _is_whole(given) or not least <= given <= most:
        raise BundleError(
            told(name, given, f"a whole number from {least:,}" + (f" to {most:,}" if math.isfinite(most) else ""))
        )
    return int(given)


def finite_number(name: str, given: Any, least: float, most: float, above: bool = False, below: bool = False) -> float:
    """A number from `least` to `most`, without the one where `above`, without the other where `below`."""
    inside = _is_number(given) and least <= given <= most
    if not inside or (above and given == least) or (below and given == most):
        first, last = f"{'above' if above else 'from'} {least:g}", f"{'below' if below else 'to'} {most:g}"
        raise BundleError(told(name, given, f"a number {first} {last}"))
    return float(given)


def flag(name: str, given: Any) -> bool:
    """True or False."""
    if not isinstance(given, bool | np.bool_):
        raise BundleError(told(name, given, "True or False"))
    return bool(given)


def one_word(name: str, given: Any, allowed: Collection[str]) -> str:
    """One of some words."""
    if not isinstance(given, str) or given not in allowed:
        raise BundleError(told(name, given, ", ".join(allowed)))
    return given


def path_like(name: str, given: Any) -> str | os.PathLike[str]:
    """A path."""
    if not isinstance(given, str | os.PathLike):
        raise BundleError(told(name, given, "the path of a folder"))
    return given


def by_name(name: str, given: Any) -> Mapping[str, Any]:
    """A mapping by names."""
    if not isinstance(given, Mapping):
        raise BundleError(told(name, given, "a mapping"))
    return given


def dense_id(name: str, given: Any) -> int:
    """A dense id."""
    return whole_number(name, given, 0, np.iinfo(np.int64).max)


def dense_ids(name: str, given: Any) -> np.ndarray:
    """int64 `[N]`: dense ids, of anything that can be gone through and has whole numbers alone."""
    values = _one_by_one(name, given)
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
        wrong = np.flatnonzero((values < 0) | (values > np.iinfo(np.int64).max))
    else:
        values = values.tolist() if isinstance(values, np.ndarray) else values
        wrong = np.array([n for n, one in enumerate(values) if not _is_whole(one) or not 0 <= one < 2**63], dtype=int)
    if len(wrong):
        raise BundleError(told(f"{name}[{wrong[0]}]", values[wrong[0]], "whole numbers from 0, such as [17, 42]"))
    return np.asarray(values, dtype=np.int64)


def texts(name: str, given: Any) -> list[str]:
    """Outside ids."""
    values = _one_by_one(name, given)
    values = values.tolist() if isinstance(values, np.ndarray) else values
    for number, one in enumerate(values):
        if not isinstance(one, str):
            raise BundleError(told(f"{name}[{number}]", one, "text, such as ['u42', 'u43']"))
    return [str(one) for one in values]


def finite_vectors(name: str, given: Any, dim: int) -> np.ndarray:
    """float32 `[N, dim]`: finite numbers."""
    try:
        array = np.asarray(given)
    except (TypeError, ValueError) as error:  # rows of several lengths
        raise BundleError(told(name, given, f"numbers in the shape [N, {dim}]")) from error
    if array.ndim != 2 or array.shape[1] != dim:
        raise BundleError(f"{name} have shape {list(array.shape)}; the index takes [N, {dim}]")
    if array.dtype.kind not in "iuf":
        raise BundleError(told(name, given, f"numbers in the shape [N, {dim}]"))
    with np.errstate(over="ignore"):
        queries = np.ascontiguousarray(array, dtype=np.float32)
    wrong = np.flatnonzero(~np.isfinite(queries).all(axis=1))
    if len(wrong):
        raise BundleError(told(f"{name}[{wrong[0]}]", array[wrong[0]].tolist(), "finite numbers that float32 holds"))
    return queries


def item_mask(name: str, given: Any, size: int) -> np.ndarray:
    """bool `[size]`: a mask by item id, of such a mask or of item ids; ids that no item has are passed over."""
    values = given if isinstance(given, np.ndarray) else _one_by_one(name, given)
    array = np.asarray(values)
    if array.dtype == bool and array.size:
        if array.shape != (size,):
            raise BundleError(f"{name} is a mask of shape {list(array.shape)}; this release has {size:,} item ids")
        return array
    some = dense_ids(name, values)
    mask = np.zeros(size, dtype=bool)
    mask[some[some < size]] = True
    return mask


def table_with(name: str, given: Any, needed: pa.Schema) -> pa.Table:
    """A table that has the columns of a schema, in its types; others are left out."""
    if not isinstance(given, pa.Table):
        raise BundleError(told(name, given, f"a pyarrow table with the columns {', '.join(needed.names)}"))
    if missing := [column for column in needed.names if column not in given.column_names]:
        raise BundleError(f"{name} has no column {missing[0]!r}; allowed: a table with {', '.join(needed.names)}")
    try:
        return given.select(needed.names).cast(needed)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BundleError(f"{name} does not fit: {error}; allowed: columns {needed.to_string()}") from error


def known_attributes(given: Any, schema: pa.Schema, words: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What is known of a user, by column of `schema`; None and NaN are not known, `user_id` is left out.

    Args:
        words: for columns of text, the values that this release can tell apart.
    """
    known = [name for name in schema.names if name != "user_id"]
    found = {}
    for name, value in by_name("attributes", {} if given is None else given).items():
        if name == "user_id":
            continue
        if name not in known:
            raise BundleError(f"attribute {name!r} is not known; there are {known}")
        if not is_missing(value):
            found[name] = _attribute(name, value, schema.field(name).type, words.get(name, ()))
    return found


def _attribute(column: str, given: Any, kind: pa.DataType, words: Sequence[str]) -> Any:
    name = f"attribute {column!r}"
    if pa.types.is_string(kind):
        if not words:
            raise BundleError(told(name, given, "None, as this release knows nothing of it of any user"))
        return one_word(name, given, words)
    if pa.types.is_date(kind):
        given = given.astype("datetime64[D]").item() if isinstance(given, np.datetime64) else given
        if not isinstance(given, datetime.date):
            raise BundleError(told(name, given, "a datetime.date"))
        return given
    # A frame has whole numbers as floats where a row lacks one.
    number = int(given) if _is_number(given) and given == int(given) else given
    return whole_number(name, number, 0, MOST.get(column, 2 ** (kind.bit_width - 1) - 1))


def is_missing(value: Any) -> bool:
    """None, or what a frame has in its place: NaN, NaT."""
    return value is None or (isinstance(value, float | np.floating | np.datetime64 | datetime.date) and value != value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return _is_whole(value) or (isinstance(value, float | np.floating) and math.isfinite(value))


def _one_by_one(name: str, given: Any) -> Any:
    """What can be gone through, as a list or an array of one dimension."""
    if isinstance(given, pa.Array | pa.ChunkedArray):
        return given.to_pylist()
    if hasattr(given, "__array__"):
        array = np.asarray(given)
        if array.ndim != 1:
            raise BundleError(told(name, given, "a list, or an array of one dimension"))
        return array
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise BundleError(told(name, given, "a list, or an array of one dimension"))
    return list(given)
