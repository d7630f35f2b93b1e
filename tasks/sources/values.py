"""What values mean: ids, words and numbers of any Arrow type, as arrays, with a mask of those that are none."""

import re
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from expectations.errors import UserError

MICROS_PER_DAY = 86_400_000_000

NO_ID = ("", "NULL", "Null", "null", "(null)", "\\N", "None", "nan", "NaN", "NAN", "<NA>", "NaT", "N/A", "n/a", "#N/A",
         "undefined")  # fmt: skip
"""What programs write in place of an id that is not there. Upper and lower case matter: `none` may be a name."""

_EXACT = {16: 2**11, 32: 2**24, 64: 2**53}
"""Bits of a float -> from here on it cannot tell neighbouring whole numbers apart."""


def plain(values: pa.Array, where: str) -> pa.Array:
    """The same values as text, numbers, times or whatever they are, without dictionaries, extensions, views or bytes.

    Raises:
        UserError: bytes are no text.
    """
    if isinstance(values.type, pa.ExtensionType):
        values = values.storage
    if pt.is_dictionary(values.type):
        return plain(values.dictionary, where).take(values.indices)
    if pt.is_run_end_encoded(values.type):
        return plain(pc.run_end_decode(values), where)
    if pt.is_large_string(values.type) or pt.is_string_view(values.type):
        return values.cast(pa.string())
    if pt.is_fixed_size_binary(values.type) and values.type.byte_width == 16:
        return pa.array([None if v is None else str(uuid.UUID(bytes=v)) for v in values.to_pylist()], pa.string())
    if pt.is_binary(values.type) or pt.is_large_binary(values.type) or pt.is_binary_view(values.type):
        return _decoded(values, where)
    if pt.is_fixed_size_binary(values.type):
        return pc.utf8_rtrim(_decoded(values.cast(pa.binary()), where), characters="\0")
    return values


def _decoded(values: pa.Array, where: str) -> pa.Array:
    try:
        return values.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        raise UserError(f"{where} has bytes that are no UTF-8 text; write them as text, such as hexadecimal") from None


def as_text(values: pa.Array, where: str) -> pa.Array:
    """Words as trimmed text, null where missing; `7`, `7.0` and `"7"` are the same.

    Raises:
        UserError: the column's type is none of text, whole number or UUID; `where` names it.
    """
    if pt.is_dictionary(values.type):
        return as_text(values.dictionary, where).take(values.indices)
    values = plain(values, where)
    if pt.is_null(values.type):
        return values.cast(pa.string())
    if pt.is_floating(values.type):
        values = _whole_floats(values, where)
    if pt.is_decimal(values.type):
        values = _whole_decimals(values, where)
    if pt.is_integer(values.type):
        return values.cast(pa.string())
    if not pt.is_string(values.type):
        raise UserError(f"{where} has the type {values.type}; text or whole numbers are needed here")
    trimmed = pc.utf8_trim_whitespace(values)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _whole_floats(values: pa.Array, where: str) -> pa.Array:
    """pandas makes floats of whole numbers as soon as one is missing."""
    bits = values.type.bit_width
    values = values.cast(pa.float64())
    known = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    if not pc.all(pc.equal(pc.floor(known), known)).as_py() and len(known.drop_null()):
        raise UserError(f"{where} has fractions; an id must be text or a whole number")
    largest = pc.max(pc.abs(known)).as_py() or 0
    if largest >= _EXACT[bits]:
        raise UserError(
            f"{where} has {bits}-bit floats up to {largest:.17g}, which cannot tell neighbours apart from "
            f"{_EXACT[bits]:,} on: different ids are one there; write them anew as whole numbers or text"
        )
    return known.cast(pa.int64())


def _whole_decimals(values: pa.Array, where: str) -> pa.Array:
    whole = pa.decimal256(76, 0) if pt.is_decimal256(values.type) else pa.decimal128(38, 0)
    try:
        return values.cast(whole).cast(pa.string())
    except pa.ArrowInvalid:
        raise UserError(f"{where} has fractions; an id must be text or a whole number") from None


def as_ids(values: pa.Array, where: str) -> pa.Array:
    """Outside ids as text, null where there is none, in whatever words that is said.

    Raises:
        UserError: as `as_text`.
    """
    texts = as_text(values, where)
    return pc.if_else(pc.is_in(texts, pa.array(NO_ID)), pa.scalar(None, pa.string()), texts)


def encoded_ids(values: pa.Array, where: str) -> tuple[np.ndarray, pa.Array]:
    """Outside ids as int32 places in an array of different ones, -1 where there is none, and that array."""
    if not pt.is_dictionary(values.type):
        as_ids(values[:0], where)  # refuses what cannot be encoded, in words
        values = plain(values, where).dictionary_encode()
    different = as_ids(values.dictionary, where).dictionary_encode()
    places = np.append(_places(different), np.int32(-1))
    return places[_places(values)], different.dictionary


def _places(encoded: pa.DictionaryArray) -> np.ndarray:
    places: np.ndarray = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return places


def without_point_zero(ids: pa.Array, where: str) -> pa.Array:
    """`1001.0` as `1001`: ids that were floats on their way, as pandas makes them, and `1.0E7` as Java writes the large
    ones. Unless some have fractions, as version numbers do: then points belong to them.

    To be asked about all ids of a kind at once, so that log and catalogue agree.

    Raises:
        UserError: floats have made one id of several.
    """
    if pc.any(cut := pc.match_substring_regex(ids, r"^-?\d(\.\d+)?[eE]\+\d+$")).as_py():
        raise _merged(ids.filter(cut)[0].as_py(), where, _CUT)
    ids = _without_exponents(ids, where)
    zeros = pc.match_substring_regex(ids, r"^-?(0|[1-9]\d*)\.0+$")
    if not pc.any(zeros).as_py() or pc.any(pc.match_substring_regex(ids, r"^-?\d+\.\d*[1-9]\d*$")).as_py():
        return ids
    floats = pc.if_else(zeros, ids, pa.scalar(None, pa.string())).cast(pa.float64())
    _refuse_large(floats, ids, where)
    return pc.if_else(zeros, pc.replace_substring_regex(ids, r"\.0+$", ""), ids)


def _without_exponents(ids: pa.Array, where: str) -> pa.Array:
    """`1.0000001E7` as `10000001`: so Java, and with it Spark, writes all digits of doubles from 10^7 on."""
    written = pc.match_substring_regex(ids, r"^-?[1-9]\.\d+E\d{1,3}$")
    if not pc.any(written).as_py():
        return ids
    floats = pc.if_else(written, ids, pa.scalar(None, pa.string())).cast(pa.float64())
    _refuse_large(floats, ids, where)
    if pc.any(fractions := pc.not_equal(pc.floor(floats), floats)).as_py():
        raise _merged(ids.filter(fractions)[0].as_py(), where, _CUT)
    return pc.if_else(written, floats.cast(pa.int64()).cast(pa.string()), ids)


def _refuse_large(floats: pa.Array, ids: pa.Array, where: str) -> None:
    if pc.any(large := pc.greater_equal(pc.abs(floats), _EXACT[64])).as_py():
        limit = f"which was a float that cannot tell neighbours apart from {_EXACT[64]:,} on"
        raise _merged(ids.filter(large)[0].as_py(), where, limit)


_CUT = "which a spreadsheet or a float has cut short"


def _merged(example: str, where: str, why: str) -> UserError:
    return UserError(
        f"{where}: there are ids such as {example!r}, {why}: different ids are one there; "
        "write them anew as whole numbers or text"
    )


def as_number(values: pa.Array, where: str, decimal_comma: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Numbers as float64, NaN where missing, and a mask of the values that are no finite number. Truth counts as 1.

    Args:
        decimal_comma: text has commas before its fractions, as in files whose delimiter is a semicolon.

    Raises:
        UserError: the column's type cannot hold numbers.
    """
    values = plain(values, where)
    type_ = values.type
    if pt.is_string(type_):
        numbers = _parsed_numbers(_with_points(values) if decimal_comma else values)
    elif pt.is_boolean(type_):
        numbers = values.cast(pa.int8()).cast(pa.float64())
    elif any(is_one(type_) for is_one in (pt.is_integer, pt.is_floating, pt.is_decimal, pt.is_null)):
        numbers = values.cast(pa.float64(), safe=False)
    else:
        raise UserError(f"{where} has the type {type_}; numbers are needed here")
    missing = values.is_null().to_numpy(zero_copy_only=False)
    found = numbers.to_numpy(zero_copy_only=False)
    return found, ~np.isfinite(found) & ~missing


_AGES = re.compile(r"(\d{1,3})\s*(?:(?:-|–|to)\s*(\d{1,3})|\+|(?:and|or) (?:over|older|above))", re.IGNORECASE)
_AGES_FROM = re.compile(r"(?:>=?|over|above)\s*(\d{1,3})", re.IGNORECASE)
_AGES_BELOW = re.compile(r"(?:<|under|below)\s*(\d{1,3})", re.IGNORECASE)


def youngest_ages(texts: pa.Array, least: int) -> pa.Array:
    """Groups of ages, such as `25-34`, `65+` or `under 18`, as the youngest age in them; other text as it is.

    Args:
        least: a group that begins below this counts as its oldest age, as `under 18` does.
    """
    encoded = texts.dictionary_encode()
    youngest = pa.array([_youngest(text, least) for text in encoded.dictionary.to_pylist()], pa.string())
    return youngest.take(encoded.indices)


def _youngest(text: str, least: int) -> str:
    ages = text.strip()
    if found := _AGES.fullmatch(ages):
        return found[2] if found[2] and int(found[1]) < least else found[1]
    if found := _AGES_FROM.fullmatch(ages):
        return found[1]
    if found := _AGES_BELOW.fullmatch(ages):
        return str(int(found[1]) - 1)
    return text


def _with_points(texts: pa.Array) -> pa.Array:
    if not pc.any(pc.match_substring(texts, ",")).as_py():
        return texts
    return pc.replace_substring_regex(texts, r"^(\s*[-+]?\d*),(\d+\s*)$", r"\1.\2")


def _parsed_numbers(texts: pa.Array) -> pa.Array:
    try:
        return pc.utf8_trim_whitespace(texts).cast(pa.float64())
    except pa.ArrowInvalid:
        import pandas as pd

        words = texts.to_pandas()
        numbers = pd.to_numeric(words, errors="coerce")
        truth = words.str.strip().str.lower().map({"true": 1.0, "false": 0.0})
        return pa.array(numbers.fillna(truth).to_numpy(dtype=np.float64))
