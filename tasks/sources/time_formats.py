"""Times written by a format such as `%m/%d/%Y %I:%M:%S %p`, read in whole columns and whatever the locale.

`strptime` goes value by value and follows the locale; here a format becomes one regular expression, and the parts that
it finds are added up as arrays.
"""

import re
from collections.abc import Mapping
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import UserError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ZONE = r"Z|UTC|GMT|[+-]\d{2}:?\d{2}"
_DIRECTIVES = {
    "Y": r"(?P<Y>\d{4})", "y": r"(?P<y>\d{2})", "m": r"(?P<m>\d{1,2})", "d": r"\s?(?P<d>\d{1,2})",
    "b": r"(?P<b>[a-z]{3,9})\.?", "B": r"(?P<b>[a-z]{3,9})\.?", "a": r"[a-z]+\.?", "A": r"[a-z]+",
    "H": r"(?P<H>\d{1,2})", "I": r"(?P<I>\d{1,2})", "p": r"(?P<p>[ap])\.?m\.?", "M": r"(?P<M>\d{1,2})",
    "S": r"(?P<S>\d{1,2})", "f": r"(?P<f>\d{1,9})", "j": r"(?P<j>\d{1,3})", "z": rf"(?P<z>{_ZONE})",
    "Z": rf"(?P<z>{_ZONE})", "%": "%",
}  # fmt: skip
_SHORT = {"%T": "%H:%M:%S", "%R": "%H:%M", "%D": "%m/%d/%y", "%F": "%Y-%m-%d", "%e": "%d"}
_NUMBERS = "YymdHIMSfj"
_FIXED = {"m": r"(?P<m>\d{2})", "d": r"(?P<d>\d{2})", "H": r"(?P<H>\d{2})", "I": r"(?P<I>\d{2})",
          "M": r"(?P<M>\d{2})", "S": r"(?P<S>\d{2})", "j": r"(?P<j>\d{3})"}  # fmt: skip


def parse_format(texts: pa.Array, format_: str) -> tuple[np.ndarray, np.ndarray]:
    """Texts as int64 microseconds since 1970 UTC, and a mask of those that do not follow the format, or are null.

    A fraction of a second and a zone may stand at the end of every format; without a zone it is UTC.

    Raises:
        UserError: the format is none.
    """
    found = pc.extract_regex(texts, pattern(format_))
    parts = dict(zip([f.name for f in found.type], found.flatten(), strict=True))
    matched = found.is_valid().to_numpy(zero_copy_only=False)
    numbers = {name: _whole(parts[name]) for name in parts if name not in "bpzf"}
    if "b" in parts:
        names = pc.utf8_slice_codeunits(pc.utf8_lower(parts["b"]), 0, 3)
        numbers["m"] = pc.index_in(names, pa.array(_MONTHS)).fill_null(-1).to_numpy(zero_copy_only=False) + 1
    days, wrong = _days(numbers, len(texts))
    micros, late = _of_day(numbers, parts, len(texts))
    bad = ~matched | wrong | late
    total = days * 86_400_000_000 + micros - _offset(parts, len(texts))
    return np.where(bad, 0, total), bad


@cache
def pattern(format_: str) -> str:
    """The regular expression of a format, a group a part."""
    for short, long in _SHORT.items():
        format_ = format_.replace(short, long)
    tokens = re.findall(r"%-?.|\s+|.", format_)
    letters = [t[-1] if t[0] == "%" and len(t) > 1 else "" for t in tokens]
    made = []
    for place, (token, letter) in enumerate(zip(tokens, letters, strict=True)):
        beside = {letters[place - 1] if place else "", (*letters, "")[place + 1]}
        if token.isspace():
            made.append(r"\s+")
        elif not letter:
            made.append(re.escape(token))
        elif letter not in _DIRECTIVES:
            raise UserError(f"source.time_format: {token} in {format_!r} is not known; {_known()} are")
        else:  # digits that touch others have no other end than their number
            touching = any(b and b in _NUMBERS for b in beside)
            made.append(_FIXED.get(letter, _DIRECTIVES[letter]) if touching else _DIRECTIVES[letter])
    if "S" in letters and "f" not in letters:
        after = letters.index("S") + 1
        made.insert(after, r"(?:[.,](?P<f>\d{1,9}))?")
    if not {"z", "Z"} & set(letters):
        made.append(rf"(?:\s?(?P<z>{_ZONE}))?")
    groups = re.findall(r"\(\?P<(\w)>", "".join(made))
    has_day = {"Y", "y"} & set(groups) and ("j" in groups or {"m", "b"} & set(groups) or set(groups) <= {"Y", "y", "z"})
    if len(groups) != len(set(groups)) or not has_day:
        raise UserError(
            f"source.time_format: {format_!r} must name the year and the day, each part once, by {_known()}"
        )
    return rf"(?i)^\s*{''.join(made)}\s*$"


def _known() -> str:
    return " ".join(f"%{letter}" for letter in _DIRECTIVES)


def _whole(texts: pa.Array) -> np.ndarray:
    numbers = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts).cast(pa.int64())
    whole: np.ndarray = numbers.fill_null(0).to_numpy(zero_copy_only=False)
    return whole


def _days(numbers: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Days since 1970, and a mask of those that no calendar has."""
    one = np.ones(count, dtype=np.int64)
    year = numbers.get("Y")
    if year is None:  # as POSIX has it: 69 to 99 are of the last century
        year = numbers["y"] + np.where(numbers["y"] < 69, 2000, 1900)
    month, day = numbers.get("m", one), numbers.get("j", numbers.get("d", one))
    first = ((year - 1970) * 12 + np.clip(month, 1, 12) - 1).astype("datetime64[M]")
    date = first.astype("datetime64[D]") + (day - 1)
    unit = "datetime64[Y]" if "j" in numbers else "datetime64[M]"
    wrong = (year < 1) | (month < 1) | (month > 12) | (day < 1) | (date.astype(unit) != first.astype(unit))
    return date.astype(np.int64), wrong


def _of_day(
    numbers: Mapping[str, np.ndarray], parts: Mapping[str, pa.Array], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Microseconds since midnight, and a mask of those that no clock shows."""
    zero = np.zeros(count, dtype=np.int64)
    hour, minute, second = (numbers.get(name, zero) for name in "HMS")
    late = (hour > 23) | (minute > 59) | (second > 60)  # 60 is a leap second
    if "I" in numbers:
        late |= (numbers["I"] < 1) | (numbers["I"] > 12)
        hour = numbers["I"] % 12
        if "p" in parts:
            hour = hour + 12 * pc.equal(pc.utf8_lower(parts["p"]), "p").fill_null(False).to_numpy(zero_copy_only=False)
    fraction = zero
    if "f" in parts:
        digits = pc.utf8_slice_codeunits(pc.utf8_rpad(parts["f"].fill_null(""), 6, "0"), 0, 6)
        fraction = _whole(digits)
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction, late


def _offset(parts: Mapping[str, pa.Array], count: int) -> np.ndarray:
    """Microseconds by which each is ahead of UTC."""
    if "z" not in parts:
        return np.zeros(count, dtype=np.int64)
    written = pc.replace_substring(parts["z"].fill_null(""), ":", "")
    has_one = pc.match_substring_regex(written, r"^[+-]\d{4}$")
    four = pc.if_else(has_one, written, "+0000")
    minutes = _whole(pc.utf8_slice_codeunits(four, 1, 3)) * 60 + _whole(pc.utf8_slice_codeunits(four, 3, 5))
    sign = np.where(pc.equal(pc.utf8_slice_codeunits(four, 0, 1), "-").to_numpy(zero_copy_only=False), -1, 1)
    offset: np.ndarray = sign * minutes * 60_000_000
    return offset
