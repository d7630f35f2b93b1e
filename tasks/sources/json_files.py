"""Reads JSON: an object a line, or a list of objects; Python literals, as Steam's data are written, where it is none.

All is read as text, as from CSV. A dotted name goes into an object (`user.id`), and through a list of objects
(`events.aid`): then each element is a row.
"""

import ast
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from expectations.errors import UserError
from tasks.sources import streams
from tasks.sources.quote_grammar import count_lines
from tasks.sources.reading import Batch, DataFile, Malformed, check_columns

JSON_ROWS = 200_000
"""Rows that are held as Python objects at a time."""

LARGEST_EXACT = 2.0**53
"""A whole number above it that came as a float has lost digits: orjson makes floats of what 64 bits cannot hold."""

_NONE = (ValueError, SyntaxError, MemoryError, RecursionError)
"""What parsers raise for text that is none of theirs."""

Records = Iterator[tuple[int, Any]]


@dataclass
class _Rows:
    """Rows so far, column by column, and where each was."""

    wanted: Sequence[str]
    columns: list[list[str | None]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.columns, self.lines = [[] for _ in self.wanted], []

    def batch(self, **facts: Any) -> Batch:
        columns = {n: _array(v) for n, v in zip(self.wanted, self.columns, strict=True)}
        return Batch(columns, 1, len(self.lines), lines=np.array(self.lines, np.int64), **facts)


def _array(values: list[str | None]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        # Half an emoji, where text was cut within one; two halves are a whole one again.
        whole = [v and v.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for v in values]
        return pa.array(whole, pa.string())


def read_json(file: DataFile, wanted: list[str]) -> Iterator[Batch]:
    """The wanted columns as text, in bounded memory where there is an object a line."""
    encoding, mark = streams.encoding_of(
        streams.head_of(file.path, file.entry), file.text.encoding, f"{file.key}.encoding"
    )
    chunks = lambda: streams.text_chunks(file.path, file.entry, encoding, mark)  # noqa: E731
    parse, note = _way(chunks)
    malformed, notes = Malformed(why="a line that is no JSON object"), (note,) if note else ()
    if parse:
        records, there = _by_line(chunks(), parse, malformed), count_lines(chunks())
    else:
        whole = _whole(file, b"".join(chunks()))
        records, there = iter(enumerate(whole, start=1)), len(whole)
    rows, made, taken, checked = _Rows(wanted), 0, 0, False
    for line, record in records:
        taken += 1
        _add(file, rows, line, record)
        if len(rows.lines) >= JSON_ROWS:
            if not checked:
                _check(file, rows, record)
            checked, made = True, made + len(rows.lines)
            yield rows.batch(malformed=malformed, notes=notes)
            rows.clear()
    if taken and not checked:
        _check(file, rows, record)
    made += len(rows.lines)
    yield rows.batch(malformed=malformed, notes=notes, records=there - taken + made)


def names_in(file: DataFile, count: int = 200) -> dict[str, list[str]]:
    """Dotted names of the values of its first records, by the list of objects that they go through, empty for none."""
    head = streams.head_of(file.path, file.entry)
    encoding, mark = streams.encoding_of(head, file.text.encoding, f"{file.key}.encoding")
    chunks = lambda: streams.text_chunks(file.path, file.entry, encoding, mark)  # noqa: E731
    parse, _ = _way(chunks)
    lines: Records = _by_line(chunks(), parse, Malformed()) if parse else enumerate(_whole(file, b"".join(chunks())))
    found: dict[str, dict[str, None]] = {"": {}}
    for (_, record), _ in zip(lines, range(count), strict=False):
        for through, name in _dotted(record, ""):
            found.setdefault(through, {})[name] = None
    return {through: list(names) for through, names in found.items()}


def _dotted(value: Any, prefix: str, through: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _dotted(inner, f"{prefix}.{key}" if prefix else key, through)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        if not through:  # a list in a list is no row
            yield from _dotted(value[0], prefix, prefix)
    elif prefix:
        yield through, prefix


def _way(chunks: Callable[[], Iterator[bytes]]) -> tuple[Callable[[bytes], Any] | None, str]:
    """How a line is parsed; None if the file is one value that goes over lines."""
    first = next((line for line in _lines(chunks()) if line.strip()), b"")
    begin = first.lstrip()[:1]
    if begin == b"[":
        return None, ""
    for parse, note in ((_json, ""), (_literal, "its lines are Python literals, not JSON")):
        try:
            if isinstance(parse(first), dict):
                return parse, note
        except _NONE:
            continue
    return (None, "") if begin == b"{" else (_json, "")


def _json(line: bytes) -> Any:
    try:
        record = orjson.loads(line)
    except ValueError:
        # Python writes numbers that are none, and halves of emojis, which orjson does not take.
        return _python_json(line)
    return _python_json(line) if type(record) is dict and _is_rounded(record.values()) else record


def _is_rounded(values: Iterable[Any]) -> bool:
    """Whether one of them, or of those within them, is a float that may have been a whole number."""
    for value in values:
        kind = type(value)
        if kind is float:
            if abs(value) >= LARGEST_EXACT:
                return True
        elif (kind is dict and _is_rounded(value.values())) or (kind is list and _is_rounded(value)):
            return True
    return False


def _python_json(text: bytes) -> Any:
    """JSON as Python's own module writes it; NaN and Infinity are missing."""
    return json.loads(text.decode(), parse_constant=lambda _: None)


def _literal(line: bytes) -> Any:
    return ast.literal_eval(line.decode())


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    yield rest


def _by_line(chunks: Iterator[bytes], parse: Callable[[bytes], Any], malformed: Malformed) -> Records:
    number = 0
    for number, line in enumerate(_lines(chunks), start=1):
        if not line.strip(b"\r"):
            continue
        try:
            record = parse(line)
        except _NONE:
            record = None
        if isinstance(record, dict):
            yield number, record
        else:
            malformed.add(number, line.decode(errors="replace"))


def _whole(file: DataFile, text: bytes) -> list[Any]:
    try:
        found = _python_json(text)
    except UnicodeDecodeError:
        raise
    except _NONE as error:
        raise UserError(f"{file.where}: this is no JSON ({error}); write it again, an object a line") from error
    records = found if isinstance(found, list) else [found]
    odd = next((n for n, record in enumerate(records, start=1) if not isinstance(record, dict)), 0)
    if odd:
        raise UserError(f"{file.where}: value {odd} of its list is no object; write an object for each event")
    return records


def _add(file: DataFile, rows: _Rows, line: int, record: dict[str, Any]) -> None:
    """Add one record: one row, or one for each element of the list that its names go through."""
    if any(name not in record and "." in name for name in rows.wanted):
        found = [_found(record, name) for name in rows.wanted]
        lists = {prefix: values for prefix, values in found if prefix}
        if len(lists) > 1:
            raise UserError(
                f"{file.where}: line {line}: columns go through two lists, {' and '.join(lists)}; choose one"
            )
        for values in lists.values():
            for column, (prefix, value) in zip(rows.columns, found, strict=True):
                column.extend(map(_text, value) if prefix else [_text(value)] * len(values))
            rows.lines.extend([line] * len(values))
            return
        values = [value for _, value in found]
    else:
        values = [record.get(name) for name in rows.wanted]
    for column, value in zip(rows.columns, values, strict=True):
        column.append(value if type(value) is str else _text(value))
    rows.lines.append(line)


def _found(value: Any, name: str) -> tuple[str, Any]:
    """The list that a name goes through (empty: none), and the value, or a value for each of its elements."""
    if name in value:
        return "", value[name]
    before: list[str] = []
    parts = name.split(".")
    while parts:
        if isinstance(value, list):
            return ".".join(before), [_found(v, ".".join(parts))[1] if isinstance(v, dict) else None for v in value]
        if not isinstance(value, dict):
            return "", None
        before.append(parts[0])
        value = value.get(parts.pop(0))
    return "", value


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else json.dumps(value, ensure_ascii=False, default=str)


def _check(file: DataFile, rows: _Rows, record: dict[str, Any]) -> None:
    """Refuse a file none of whose first rows has a wanted column."""
    empty = [n for n, values in zip(rows.wanted, rows.columns, strict=True) if all(v is None for v in values)]
    there = list(_names(record))
    check_columns(file, there, [n for n in empty if n not in there])


def _names(record: Any, above: str = "") -> Iterator[str]:
    for name, value in record.items():
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict):
            yield from _names(inner, f"{above}{name}.")
        else:
            yield f"{above}{name}"
