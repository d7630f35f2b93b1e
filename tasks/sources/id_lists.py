"""Lists of ids, such as of what was shown: every id in its place, in whatever way a list is stored or written."""

import ast
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from models.compressed_rows import offsets_of
from tasks.sources.values import as_text, plain
from tasks.sources.word_lists import AS_NUMPY_PRINTS, QUOTED, of_postgresql

_BETWEEN = r"[\s,;|]+"


def as_id_lists(values: pa.Array, separator: str, where: str) -> pa.ListArray:
    """`list<string>` of the same length: trimmed text, null where an element is none; empty where there is no list.

    Args:
        separator: between the elements of text that is no list as JSON, Python, numpy or PostgreSQL write it; empty:
            spaces, commas, semicolons or bars.

    Raises:
        UserError: the column's type holds no ids; `where` names it.
    """
    values = plain(values, where)
    if pt.is_fixed_size_list(values.type):
        values = values.cast(pa.list_(values.type.value_type))
    if pt.is_list(values.type) or pt.is_large_list(values.type):
        sizes = pc.list_value_length(values).fill_null(0).to_numpy(zero_copy_only=False)
        return _lists(sizes, as_text(pc.list_flatten(values), where))
    texts = as_text(values, where).fill_null("")
    if pc.any(pc.match_substring_regex(texts, r"^[\[({]")).as_py():
        each = [_elements(text, separator) for text in texts.to_pylist()]
        return pa.array(each, pa.list_(pa.string()))
    return _split(texts, separator, where)


def _lists(sizes: np.ndarray, each: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(offsets_of(sizes).astype(np.int32), each)


def _split(texts: pa.Array, separator: str, where: str) -> pa.ListArray:
    if separator:
        lists = pc.split_pattern(texts, separator)
    else:
        inner = pc.replace_substring_regex(texts, f"^{_BETWEEN}|{_BETWEEN}$", "")
        lists = pc.split_pattern_regex(inner, _BETWEEN)
        texts = inner
    sizes = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    # Of an empty text one empty piece is split off.
    is_empty = pc.equal(texts, "").to_numpy(zero_copy_only=False)
    each = pc.list_flatten(lists).filter(pa.array(np.repeat(~is_empty, sizes)))
    return _lists(np.where(is_empty, 0, sizes), as_text(each, where))


def _elements(text: str, separator: str) -> list[str | None]:
    """The elements of a written list."""
    if text[:1] not in ("[", "(", "{") or AS_NUMPY_PRINTS.fullmatch(text):
        quoted = [one or other for one, other in QUOTED.findall(text)] if text[:1] == "[" else None
        return quoted or _split(pa.array([text]), separator, "")[0].as_py()
    if text[0] == "{" and not _is_parted_otherwise(text[1:-1], separator):
        return [one or None for one in of_postgresql(text)]
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        if isinstance(found, list | tuple):
            return [str(one).strip() if isinstance(one, str | int | float) else None for one in found]
    return _split(pa.array([text[1:-1].strip()]), separator, "")[0].as_py()


def _is_parted_otherwise(inner: str, separator: str) -> bool:
    """Whether what stands in braces is no array of PostgreSQL, which has spaces in quotes only."""
    return not set(inner) & {",", '"'} and (separator in inner if separator else len(inner.split()) > 1)


def without_marks(each: pa.Array, mark: str) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """Of `N1-1` the item, whether 1 stands behind the mark, and whether neither 1 nor 0 does."""
    clicked, passed = (
        pc.ends_with(each, pattern=f"{mark}{end}").fill_null(False).to_numpy(zero_copy_only=False) for end in (1, 0)
    )
    return pc.utf8_slice_codeunits(each, 0, -len(mark) - 1), clicked, ~(clicked | passed)
