"""Walks over delimited text byte by byte: counts its records, and tells whether a grammar of quotes fits it.

This is nobody's parser: Arrow reads the values. What is counted here is counted independently of it, over the whole
file. The walk is machine code for large files and plain Python for small ones, from one source.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass, field
from functools import cache
from itertools import chain
from typing import Any

import numpy as np

CHUNK_BYTES = 1 << 20
SMALL_BYTES = 1 << 16
"""Below this Python is done before machine code is loaded."""

NUM_LINES = 3
LONGEST_LINE = 1 << 16
"""Bytes of a line inside of a quoted field that is looked at more closely."""

NEVER = -1
_START, _PLAIN, _QUOTED, _CLOSED = 0, 1, 2, 3


@dataclass(frozen=True)
class Grammar:
    """How fields are told apart, in bytes; `NEVER` for what a grammar does not have.

    Attributes:
        quoting: else quotes are ordinary characters, and only `Fit.quoted_misfits` tells of them.
        everywhere: the escape counts outside of quotes too.
    """

    delimiter: int
    quote: int = NEVER
    escape: int = NEVER
    quoting: bool = True
    everywhere: bool = False


@dataclass
class Fit:
    """What a walk over a whole file with one grammar found.

    Attributes:
        records: lines that are not blank, but for those within quotes.
        misfits: records whose number of fields is not the expected one, and `quoted_misfits` those with a quote.
        trailing: records with one field too many, an empty one at the end.
        multiline: records with line breaks within quotes, or with escaped ones.
        broken: closing quotes followed by ordinary text.
        lone, paired: escapes outside of quotes before ordinary characters (any, where escapes do not count there), and
            before those that need one.
        paired_quotes: quotes among the latter, which no writer that doubles quotes leaves outside of quotes.
        unended: line on which a quoted field begins that never ends; 0 for none.
        inner: lines inside of quoted fields that have the expected number of delimiters, by line number.
    """

    records: int = 0
    misfits: int = 0
    quoted_misfits: int = 0
    trailing: int = 0
    multiline: int = 0
    broken: int = 0
    lone: int = 0
    paired: int = 0
    paired_quotes: int = 0
    unended: int = 0
    misfit_lines: list[int] = field(default_factory=list)
    broken_lines: list[int] = field(default_factory=list)
    inner: dict[int, bytes] = field(default_factory=dict)


def walk(chunks: Iterable[bytes], grammar: Grammar, expected: int) -> Fit:
    """Walk over a file.

    Args:
        chunks: the text, cut anywhere; a header is a record, too.
        expected: number of fields of a record.
    """
    state = np.array([_START, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0], np.int64)
    counts = np.zeros(9, np.int64)
    rule = (*astuple(grammar), expected)
    fit, before, offset = Fit(), b"", 0
    step: Any = None
    # As if the last line had an end; a blank line is no record.
    for chunk in chain(chunks, (b"\n\n",)):
        if not step:
            step = _walk if len(chunk) < SMALL_BYTES else _compiled()
        lines = np.zeros((2, NUM_LINES), np.int64)
        inner = np.zeros((chunk.count(b"\n") + chunk.count(b"\r") + 1, 3), np.int64)
        text = chunk if step is _walk else np.frombuffer(chunk, np.uint8)
        found = step(text, *rule, offset, state, counts, lines, inner)
        window, start = before + chunk, offset - len(before)
        for line, begin, end in inner[:found].tolist():
            fit.inner[line] = window[begin - start : end - start] if begin >= start else b""
        for kept, new in ((fit.misfit_lines, lines[0]), (fit.broken_lines, lines[1])):
            kept.extend(new[new > 0].tolist()[: NUM_LINES - len(kept)])
        before, offset = window[-LONGEST_LINE:], offset + len(chunk)
    names = (
        "records",
        "misfits",
        "quoted_misfits",
        "trailing",
        "multiline",
        "broken",
        "lone",
        "paired",
        "paired_quotes",
    )
    for name, count in zip(names, counts.tolist(), strict=True):
        setattr(fit, name, count)
    fit.unended = int(state[4]) if state[0] == _QUOTED else 0
    return fit


def count_lines(chunks: Iterable[bytes]) -> int:
    """Lines that are not blank: the records of a text without quotes."""
    count, in_line = 0, False
    for chunk in chunks:
        text = np.frombuffer(chunk, np.uint8)
        is_break = (text == 10) | (text == 13)
        if len(text):
            count += int(np.count_nonzero(is_break[1:] > is_break[:-1])) + int(in_line and is_break[0])
            in_line = not is_break[-1]
    return count + in_line


@cache
def _compiled() -> Callable[..., int]:
    from numba import njit

    compiled: Callable[..., int] = njit(cache=True, nogil=True)(_walk)
    return compiled


def _walk(  # type: ignore[no-untyped-def]
    text, delimiter, quote, escape, quoting, everywhere, expected, offset, state, counts, lines, inner
):
    """One chunk: moves `state` and `counts` on, notes line numbers, returns how many lines it wrote into `inner`."""
    where, fields, begun, line, quote_line = state[0], state[1], state[2], state[3], state[4]
    escaped, after_return, has_quote, breaks = state[5], state[6], state[7], state[8]
    on_line, line_start, record_line = state[9], state[10], state[11]
    found = 0
    for i in range(len(text)):
        c = text[i]
        if c != delimiter and c != quote and c != escape and c != 10 and c != 13:  # noqa: SIM102
            # Most bytes, and nothing is to be decided inside of a field.
            if (where == _PLAIN or where == _QUOTED) and not escaped:  # noqa: SIM109
                after_return = 0
                continue
        is_break = c == 10 or c == 13
        if after_return and c == 10:
            # The second half of a line's end.
            after_return = 0
            line_start = offset + i + 1
            continue
        after_return = 1 if c == 13 else 0
        ends = False
        if where == _QUOTED:
            if escaped:
                escaped = 0
            elif c == quote:
                where = _CLOSED
            elif c == escape:
                escaped = 1
        elif escaped:
            escaped = 0
            begun = 1
            if c == delimiter or c == quote or c == escape or is_break:  # noqa: SIM109
                counts[7] += 1
                counts[8] += c == quote
            else:
                counts[6] += 1
        elif is_break:
            ends = True
        elif c == delimiter:
            begun = 1
            fields += 1
            where = _START
        elif c == quote and quoting and where == _START:
            begun, has_quote = 1, 1
            where = _QUOTED
            quote_line = line
        elif c == quote and quoting and where == _CLOSED:
            where = _QUOTED
        else:
            begun = 1
            if c == quote:
                has_quote = 1
            if where == _CLOSED:
                counts[5] += 1
                if counts[5] <= lines.shape[1]:
                    lines[1, counts[5] - 1] = line
            where = _PLAIN
            if c == escape:
                if everywhere:
                    escaped = 1
                else:
                    counts[6] += 1
        if c == delimiter:
            on_line += 1
        if is_break:
            if breaks and on_line == expected - 1:
                inner[found, 0], inner[found, 1], inner[found, 2] = line, line_start, offset + i
                found += 1
            line += 1
            on_line = 0
            line_start = offset + i + 1
            if not ends:
                breaks += 1
        if ends:
            if begun:
                counts[0] += 1
                if fields + 1 != expected:
                    counts[1] += 1
                    counts[2] += has_quote
                    if counts[1] <= lines.shape[1]:
                        lines[0, counts[1] - 1] = record_line + 1
                    if fields == expected and where == _START:
                        counts[3] += 1
                if breaks:
                    counts[4] += 1
            where, fields, begun, has_quote, breaks = _START, 0, 0, 0, 0
            record_line = line - 1
    state[0], state[1], state[2], state[3], state[4] = where, fields, begun, line, quote_line
    state[5], state[6], state[7], state[8] = escaped, after_return, has_quote, breaks
    state[9], state[10], state[11] = on_line, line_start, record_line
    return found


def without_escapes(chunks: Iterable[bytes], grammar: Grammar) -> Iterator[bytes]:
    """The same text with quotes inside of quoted fields doubled, in place of escaped.

    Only an escape before a quote or another escape is one; before anything else it stands for itself, as with Spark.
    """
    state = np.zeros(2, np.int64)
    for chunk in chain(chunks, (b"",)):
        out = np.empty(len(chunk) + 1, np.uint8)
        step = _without_escapes if len(chunk) < SMALL_BYTES else _compiled_without_escapes()
        text = np.frombuffer(chunk, np.uint8)
        length = step(text, grammar.delimiter, grammar.quote, grammar.escape, state, out)
        yield out[:length].tobytes()


@cache
def _compiled_without_escapes() -> Callable[..., int]:
    from numba import njit

    compiled: Callable[..., int] = njit(cache=True, nogil=True)(_without_escapes)
    return compiled


def _without_escapes(text: Any, delimiter: int, quote: int, escape: int, state: Any, out: Any) -> int:
    where, escaped = state[0], state[1]
    length = 0
    for i in range(len(text)):
        c = text[i]
        if where == _QUOTED:
            if escaped:
                escaped = 0
                if c != escape:
                    out[length] = quote if c == quote else escape
                    length += 1
            elif c == escape:
                escaped = 1
                continue
            elif c == quote:
                where = _CLOSED
        elif c == delimiter or c == 10 or c == 13:
            where = _START
        elif c == quote and where != _PLAIN:
            where = _QUOTED
        else:
            where = _PLAIN
        out[length] = c
        length += 1
    state[0], state[1] = where, escaped
    return length
