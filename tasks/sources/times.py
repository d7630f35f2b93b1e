"""Times of any Arrow type and in any form, as microseconds since 1970 UTC.

The form of a column is `s`, `ms`, `us` or `ns` (numbers since 1970), `iso`, or a format such as `%Y%m%d`. It is found
once a file; what is of another form is then told, and never guessed anew.
"""

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from expectations.errors import UserError
from tasks.sources.time_formats import parse_format, pattern
from tasks.sources.values import as_number, plain

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
SAMPLE = 1000

_DIGITS = {
    "%Y%m%d": (1_800_01_01, 9_999_12_31),
    "%Y%m%d%H%M": (1_980_01_01_00_00, 2_100_12_31_23_59),
    "%Y%m%d%H%M%S": (1_980_01_01_00_00_00, 2_100_12_31_23_59_59),
}
"""Dates written as one number, and what they lie between. As seconds or milliseconds since 1970 these would be moments
before 1980 or after 2600, which nobody has logged."""
_SHORT_DIGITS = {"%Y": (1800, 9999), "%Y%m": (1_800_01, 9_999_12)}
"""The same, of listings only: days on which nothing happened, but something was released."""

_DATES = ("%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y", "%d.%m.%Y", "%m/%d/%y", "%d/%m/%y", "%y/%m/%d", "%m-%d-%y",
          "%d-%m-%y", "%y-%m-%d", "%d.%m.%y", "%y.%m.%d", "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d-%b-%Y", "%d %b %Y",
          "%b %d %Y", "%b %d, %Y", "%d-%b-%y")  # fmt: skip
_CLOCKS = ("", "%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%z", "%H:%M:%S %z")
_WHOLE = ("%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S %z", "%d/%b/%Y:%H:%M:%S %z")
FORMATS = (*(f"{d}{between}{c}" for d in _DATES for c in _CLOCKS for between in ((" ", ", ") if c else ("",))), *_WHOLE)
"""Formats that are found without being named."""


class AmbiguousTimes(UserError):
    """Times that may be read in two ways."""


def time_form(values: pa.Array, form: str = "auto", where: str = "time", listed: bool = False) -> str:
    """The form that `auto` stands for in a column; `auto` where no value is known yet.

    Seconds stay below 1e11 until the year 5138; milliseconds below 1e14, microseconds below 1e17 likewise.

    Args:
        listed: dates of users and items, where a year is one, too.

    Raises:
        AmbiguousTimes: it is not clear which number is the month or the year; `where` names the column.
    """
    if form != "auto":
        return form
    known = plain(values.drop_null()[:SAMPLE], where)
    if len(known) == 0:
        return "auto"
    if _is_time(known.type):
        return "iso"
    numbers, bad = as_number(known, where)
    if bad.mean() > 0.5:
        return _text_form(plain(values.drop_null(), where), where)
    numbers = numbers[~bad]
    dated = numbers[numbers > 0]  # 0 and -1 are what programs write in place of a date
    for digits, (low, high) in (_DIGITS | (_SHORT_DIGITS if listed else {})).items():
        inside = int(((dated >= low) & (dated <= high)).sum())
        if inside and inside >= 0.9 * len(dated) and _follow(known, digits) >= 0.9 * inside:
            return digits
    size = float(np.median(np.abs(numbers)))
    return "s" if size < 1e11 else "ms" if size < 1e14 else "us" if size < 1e17 else "ns"


def _is_time(type_: pa.DataType) -> bool:
    return bool(pt.is_timestamp(type_) or pt.is_date(type_))


def _follow(values: pa.Array, format_: str) -> int:
    return int((~parse_format(_texts(values, format_), format_)[1]).sum())


def _text_form(texts: pa.Array, where: str) -> str:
    sample = pc.unique(texts[:SAMPLE])
    if _iso(sample)[1].mean() <= 0.5:
        return "iso"
    some = sample[:20].to_pylist()
    likely = [f for f in FORMATS if any(re.match(pattern(f), text) for text in some)]
    fit = {f: n for f in likely if (n := _follow(sample, f)) > 0.5 * len(sample)}
    best = [f for f, n in fit.items() if n == max(fit.values())]
    if len(best) > 1:
        # With the days of a month that are on all of its pages, one of them drops out.
        every = pc.unique(texts)
        counts = {f: _follow(every, f) for f in best}
        best = [f for f, n in counts.items() if n == max(counts.values())]
    if len(best) > 1:
        raise AmbiguousTimes(
            f"{where} has times such as {sample[0].as_py()!r}, which may be {' or '.join(best)}; "
            f'say which: source.time_format="{best[0]}" (of users and items: their '
            "date_format; of a log beside the plays: its time_format)"
        )
    return best[0] if best else "iso"


def as_micros(values: pa.Array, form: str, where: str, decimal_comma: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Times as int64 microseconds since 1970 UTC, and a mask of the values that are no time, missing ones too.

    Raises:
        UserError: the column's type cannot hold times.
    """
    values = plain(values, where)
    if _is_time(values.type):
        micros = values.cast(pa.timestamp("us"), safe=False)
        return _int64(micros), values.is_null().to_numpy(zero_copy_only=False)
    if pt.is_null(values.type) or values.null_count == len(values):
        return np.zeros(len(values), dtype=np.int64), np.ones(len(values), dtype=bool)
    numeric = pt.is_integer(values.type) or pt.is_floating(values.type) or pt.is_decimal(values.type)
    if not (numeric or pt.is_string(values.type)):
        raise UserError(f"{where} has the type {values.type}; times are timestamps, dates, numbers or text")
    _refuse_short_floats(values, where)
    if form not in _PER_SECOND:
        if numeric and "%" not in form:
            raise UserError(f"{where} has the type {values.type}; text is needed for ISO 8601: set source.time_unit")
        return _once(values, form)
    if pt.is_integer(values.type):
        return _scaled(_whole(values), form), values.is_null().to_numpy(zero_copy_only=False)
    if pt.is_string(values.type):
        try:
            return as_micros(pc.utf8_trim_whitespace(values).cast(pa.int64()), form, where)
        except pa.ArrowInvalid:
            pass
    numbers, bad = as_number(values, where, decimal_comma)
    bad |= np.isnan(numbers) | (np.abs(numbers) > 2.0**62)
    return np.rint(np.where(bad, 0.0, numbers) * 1e6 / _PER_SECOND[form]).astype(np.int64), bad


def _refuse_short_floats(values: pa.Array, where: str) -> None:
    short = pt.is_floating(values.type) and values.type.bit_width < 64
    if short and (pc.max(pc.abs(values.cast(pa.float64()))).as_py() or 0) >= 2**24:
        raise UserError(
            f"{where} has 32-bit floats, which tell times since 1970 only to two minutes; write them anew as whole "
            "numbers, 64-bit floats or timestamps"
        )


def _whole(values: pa.Array) -> np.ndarray:
    if pt.is_uint64(values.type):
        values = pc.min_element_wise(values, pa.scalar(2**63 - 1, pa.uint64()))
    whole: np.ndarray = pc.fill_null(values, 0).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return whole


def _scaled(whole: np.ndarray, unit: str) -> np.ndarray:
    per_second = _PER_SECOND[unit]
    if per_second > 10**6:
        return whole // (per_second // 10**6)
    factor = 10**6 // per_second
    # Beyond any date; without the bound the product would wrap around into a date that looks fine.
    bound = 2**62 // factor
    return np.clip(whole, -bound, bound) * factor


def _once(values: pa.Array, form: str) -> tuple[np.ndarray, np.ndarray]:
    """Text of a form, each different one parsed once: copies of a few dates (a day column, say) are common."""
    if "%" not in form and (fast := _iso_cast(values)) is not None:
        return _int64(fast), values.is_null().to_numpy(zero_copy_only=False)
    codes = values.dictionary_encode()
    texts = _texts(codes.dictionary, form)
    each, none = parse_format(texts, form) if "%" in form else _iso(texts)
    places = codes.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return np.append(each, 0).astype(np.int64)[places], np.append(none, True)[places]


def _texts(values: pa.Array, form: str) -> pa.Array:
    """Numbers that are dates (`20210703`, `1995.0`) as text without their fraction."""
    if pt.is_floating(values.type):
        whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), 1e15))
        values = pc.if_else(whole, values, pa.scalar(None, values.type)).cast(pa.int64())
    texts = values.cast(pa.string())
    digits = form in _DIGITS or form in _SHORT_DIGITS
    return pc.replace_substring_regex(texts, r"^(\s*\d+)\.0*\s*$", r"\1") if digits else texts


def _iso_cast(texts: pa.Array) -> pa.Array | None:
    """All of one kind of ISO 8601, as most logs have it, in one go; None where it is not so."""
    for change in _SPELLINGS:
        for type_ in (pa.timestamp("us"), pa.timestamp("us", tz="UTC")):
            try:
                change(texts[:100]).cast(type_)  # each value that does not fit takes long: a few tell
                return change(texts).cast(type_)
            except pa.ArrowInvalid:
                continue
    return None


def _without_zone_name(texts: pa.Array) -> pa.Array:
    named = pc.or_kleene(pc.ends_with(texts, " UTC"), pc.ends_with(texts, " GMT"))
    return pc.if_else(named, pc.utf8_slice_codeunits(texts, 0, -4), texts)


_SPELLINGS: tuple[Callable[[pa.Array], pa.Array], ...] = (lambda texts: texts, _without_zone_name)


def _iso(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Text in any mixture of ISO 8601, as Python and databases write it, too: ` UTC`, a comma before the fraction."""
    import pandas as pd

    trimmed = _without_zone_name(pc.utf8_trim_whitespace(texts))
    trimmed = pc.replace_substring_regex(trimmed, r"(:\d\d),(\d+)", r"\1.\2")
    # pandas takes the words `now` and `today` for this moment.
    trimmed = pc.if_else(pc.match_substring_regex(trimmed, r"\d"), trimmed, pa.scalar(None, pa.string()))
    parsed = pd.to_datetime(trimmed.to_pandas(), format="ISO8601", utc=True, errors="coerce")
    bad = parsed.isna().to_numpy()
    each = np.where(bad, 0, parsed.dt.as_unit("us").dt.tz_localize(None).to_numpy().astype(np.int64))
    if bad.any():  # pandas ends with the year 2262
        for late in ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S"):
            each_late, still = parse_format(trimmed, late)
            each, bad = np.where(bad & ~still, each_late, each), bad & still
    return each, bad


def _int64(times: pa.Array) -> np.ndarray:
    micros: np.ndarray = pc.fill_null(times.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return micros
