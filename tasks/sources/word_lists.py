"""Lists of words, such as genres, in whatever way they are stored or written, as plain lists of different words."""

import ast
import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from tasks.sources.values import as_text

USUAL = "|"
SEPARATORS = (",", ";", "/", "\\")

_NO_WORD = {"", "null", "none", "nan", "n/a", "\\n", "unknown", "(no genres listed)"}
_NAMES = ("name", "title", "label", "genre", "tag", "description", "value")
"""Fields of a struct that say what it is called, the likeliest first."""

QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
AS_NUMPY_PRINTS = re.compile(r"\[\s*(?:'[^']*'|\"[^\"]*\")(?:\s+(?:'[^']*'|\"[^\"]*\"))+\s*\]")
_OF_POSTGRESQL = re.compile(r'(?:^|,)(?:\s*"((?:[^"\\]|\\.)*)"\s*(?=,|\Z)|([^,]*))', re.DOTALL)


def as_word_lists(values: pa.Array, separator: str, where: str) -> pa.Array:
    """`list<string>` of the same length: trimmed words, each once in its first place; null where there is no list.

    Lists of any type, nested ones flattened, of structs or maps their names; text with separators, or as JSON, Python,
    numpy or PostgreSQL write lists.

    Raises:
        UserError: the column's type holds no words.
    """
    if _is_nested(values.type):
        found = [None if value is None else _once(_words_in(value)) for value in values.to_pylist()]
        return pa.array(found, pa.list_(pa.string()))
    texts = as_text(values, where).dictionary_encode()
    each = [_once(_words_of_text(text, separator)) for text in texts.dictionary.to_pylist()]
    return pa.array(each, pa.list_(pa.string())).take(texts.indices)


def separator_of(columns: Iterable[pa.Array], where: str) -> str:
    """What parts the words of text columns: `|`, or where it never occurs what parts words that recur.

    A comma in `Arts, Film & Photography` parts nothing: neither of its halves is ever said alone or beside others.
    """
    different: set[str] = set()
    for column in columns:
        if not _is_nested(column.type):
            different.update(t for t in as_text(column, where).unique().to_pylist() if t and not _is_written_list(t))
    if any(USUAL in text for text in different):
        return USUAL
    for separator in SEPARATORS:
        lists = [_once(text.split(separator)) or [] for text in different]
        counts = Counter(word for words in lists for word in words)
        recurring = sum(count > 1 for count in counts.values())
        if any(len(words) > 1 for words in lists) and recurring >= 0.5 * len(counts):
            return separator
    return USUAL


def _is_nested(type_: pa.DataType) -> bool:
    if isinstance(type_, pa.ExtensionType):
        type_ = type_.storage_type
    return bool(pt.is_nested(type_))


def _is_written_list(text: str) -> bool:
    return text[0] + text[-1] in ("[]", "{}", "()") and len(text) > 1


def _words_of_text(text: str | None, separator: str) -> Iterator[str] | None:
    if text is None:
        return None
    if not _is_written_list(text):
        return iter(text.split(separator))
    if AS_NUMPY_PRINTS.fullmatch(text):  # Python would take such words for one
        return (one or other for one, other in QUOTED.findall(text))
    for read in (json.loads, ast.literal_eval):
        try:
            return _words_in(read(text))
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    if text[0] == "(":
        return iter(text.split(separator))
    inner = text[1:-1].strip()
    between = separator if separator in inner else "," if "," in inner else None
    if text[0] == "{" and between == ",":
        return iter(of_postgresql(text))
    return iter(_cut(inner, between) if between else inner.split())


def of_postgresql(text: str) -> list[str]:
    """The elements of an array as PostgreSQL writes it: `{a,"b c"}`, with backslashes in quotes before what is meant as
    it is."""
    inner = text.removeprefix("{").removesuffix("}")
    found = _OF_POSTGRESQL.findall(inner) if inner.strip() else []
    return [(re.sub(r"(?s)\\(.)", r"\1", quoted) or bare).strip() for quoted, bare in found]


def _cut(inner: str, between: str) -> list[str]:
    """What stands between separators, quoted or not; only single characters may stand within quotes, too."""
    try:
        if len(between) == 1:
            return next(csv.reader([inner], delimiter=between, skipinitialspace=True), [])
    except (csv.Error, ValueError):  # line breaks, or a separator that csv knows as something else
        pass
    return inner.split(between)


def _words_in(value: Any) -> Iterator[str]:
    """The words of a nested value."""
    if isinstance(value, dict):
        yield from _words_in(_named(value))
    elif isinstance(value, list | tuple | set | frozenset):
        pairs = isinstance(value, list) and bool(value) and all(isinstance(v, tuple) and len(v) == 2 for v in value)
        for one in [_named(dict(value))] if pairs else value:  # so Arrow gives maps
            yield from _words_in(one)
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, float) and value.is_integer():
        yield str(int(value))
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _named(value: dict[Any, Any]) -> Any:
    """What a struct is called; of a map that weighs words these, of one that numbers them the words."""
    lower = {str(key).lower(): one for key, one in value.items()}
    for name in _NAMES:
        if lower.get(name) is not None:
            return lower[name]
    texts = [one for one in value.values() if isinstance(one, str)]
    if texts:
        return texts
    return list(value.values())[:1] if "id" in lower else list(value)


def _once(words: Iterable[str] | None) -> list[str] | None:
    if words is None:
        return None
    trimmed = (word.strip() for word in words)
    return list(dict.fromkeys(word for word in trimmed if word.lower() not in _NO_WORD)) or None
