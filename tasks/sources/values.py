"""What values mean: ids, numbers and times of any Arrow type, as arrays, with a mask of those that are none."""

import uuid

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from expectations.errors import UserError
from tasks.sources.config import TimeUnit

MICROS_PER_DAY = 86_400_000_000
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def as_text(values: pa.Array, where: str) -> pa.Array:
    """Ids and words as trimmed text, null where missing; `7`, `7.0` and `"7"` are the same id.

    Raises:
        UserError: the column's type is none of text, whole number or UUID; `where` names it.
    """
    if isinstance(values.type, pa.ExtensionType):
        values = values.storage
    if pt.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pt.is_fixed_size_binary(values.type) and values.type.byte_width == 16:
        return pa.array([None if v is None else str(uuid.UUID(bytes=v)) for v in values.to_pylist()], pa.string())
    if pt.is_floating(values.type):
        # pandas makes floats of whole numbers as soon as one is missing.
        whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), 2.0**53))
        if not pc.all(pc.fill_null(whole, True)).as_py():
            raise UserError(f"{where} has fractions; an id must be text or a whole number")
        values = values.cast(pa.int64())
    if pt.is_integer(values.type):
        return values.cast(pa.string())
    if not (pt.is_string(values.type) or pt.is_large_string(values.type) or pt.is_string_view(values.type)):
        raise UserError(f"{where} has the type {values.type}; text or whole numbers are needed here")
    trimmed = pc.utf8_trim_whitespace(values.cast(pa.string()))
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def as_number(values: pa.Array, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Numbers as float64, NaN where missing, and a mask of the values that are no finite number.

    Raises:
        UserError: the column's type cannot hold numbers.
    """
    if pt.is_dictionary(values.type):
        values = values.dictionary_decode()
    if (
        pt.is_integer(values.type)
        or pt.is_floating(values.type)
        or pt.is_decimal(values.type)
        or pt.is_null(values.type)
    ):
        numbers = values.cast(pa.float64(), safe=False)
    elif pt.is_string(values.type) or pt.is_large_string(values.type):
        numbers = _parsed_numbers(values)
    else:
        raise UserError(f"{where} has the type {values.type}; numbers are needed here")
    missing = values.is_null().to_numpy(zero_copy_only=False)
    plain = numbers.to_numpy(zero_copy_only=False)
    return plain, ~np.isfinite(plain) & ~missing


def _parsed_numbers(texts: pa.Array) -> pa.Array:
    try:
        return pc.utf8_trim_whitespace(texts).cast(pa.float64())
    except pa.ArrowInvalid:
        import pandas as pd

        return pa.array(pd.to_numeric(texts.to_pandas(), errors="coerce").to_numpy(dtype=np.float64))


def time_unit(values: pa.Array, unit: TimeUnit = "auto") -> TimeUnit:
    """The unit that `auto` stands for in a column: text that is no number is ISO, numbers tell by their size.

    Seconds stay below 1e11 until the year 5138; milliseconds below 1e14, microseconds below 1e17 likewise.
    """
    if unit != "auto" or not (pt.is_integer(values.type) or pt.is_floating(values.type) or pt.is_string(values.type)):
        return unit
    known = values.drop_null()[:1000]
    if len(known) == 0:
        return "auto"
    numbers, bad = as_number(known, "time")
    if bad.mean() > 0.5:
        return "iso"
    size = float(np.median(np.abs(numbers[~bad])))
    return "s" if size < 1e11 else "ms" if size < 1e14 else "us" if size < 1e17 else "ns"


def as_micros(values: pa.Array, unit: TimeUnit, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Times as int64 microseconds since 1970 UTC, and a mask of the values that are no time, missing ones too.

    Raises:
        UserError: the column's type cannot hold times.
    """
    if pt.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pt.is_timestamp(values.type) or pt.is_date(values.type):
        micros = values.cast(pa.timestamp("us"), safe=False)
        return _int64(micros), values.is_null().to_numpy(zero_copy_only=False)
    if unit in ("iso", "auto"):
        return _iso_micros(values, where)
    if pt.is_integer(values.type):
        whole = pc.fill_null(values, 0).cast(pa.int64()).to_numpy(zero_copy_only=False)
        return _scaled(whole, unit), values.is_null().to_numpy(zero_copy_only=False)
    try:
        return as_micros(pc.utf8_trim_whitespace(values).cast(pa.int64()), unit, where)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        numbers, bad = as_number(values, where)
    bad |= np.isnan(numbers) | (np.abs(numbers) > 2.0**62)
    return np.rint(np.where(bad, 0.0, numbers) * 1e6 / _PER_SECOND[unit]).astype(np.int64), bad


def _scaled(whole: np.ndarray, unit: str) -> np.ndarray:
    per_second = _PER_SECOND[unit]
    if per_second > 10**6:
        return whole // (per_second // 10**6)
    factor = 10**6 // per_second
    # Beyond any date; without the bound the product would wrap around into a date that looks fine.
    bound = 2**62 // factor
    return np.clip(whole, -bound, bound) * factor


def _iso_micros(values: pa.Array, where: str) -> tuple[np.ndarray, np.ndarray]:
    import pandas as pd

    if not (pt.is_string(values.type) or pt.is_large_string(values.type) or pt.is_null(values.type)):
        raise UserError(f"{where} has the type {values.type}; times are timestamps, dates, numbers or ISO 8601 text")
    # Copies of a few dates (a day column, say) are common, so each text is parsed once.
    codes = values.cast(pa.string()).dictionary_encode()
    texts = codes.dictionary.to_pandas()
    parsed = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce").dt.as_unit("us")
    none = parsed.isna().to_numpy()
    each = np.where(none, 0, parsed.dt.tz_localize(None).to_numpy().astype(np.int64)) if len(texts) else np.zeros(0)
    places = codes.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    bad = np.append(none, True)[places]
    return np.append(each, 0).astype(np.int64)[places], bad


def _int64(times: pa.Array) -> np.ndarray:
    return pc.fill_null(times.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
