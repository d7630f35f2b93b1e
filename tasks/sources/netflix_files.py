"""Reads ratings as the Netflix Prize has them: a line `1:` for a film, then its lines `user,rating,date`."""

import re
from collections.abc import Iterator
from itertools import chain

import numpy as np
import pyarrow as pa

from tasks.sources import streams
from tasks.sources.quote_grammar import count_lines
from tasks.sources.reading import Batch, DataFile, Malformed, check_columns

NAMES = ("item", "user", "rating", "time")
BEGINNING = re.compile(rb"\d+:\r?\n\d+,\d,\d{4}-\d\d-\d\d\r?\n")


def read_netflix(file: DataFile, wanted: list[str]) -> Iterator[Batch]:
    """The wanted of the columns `item`, `user`, `rating` and `time`, as text."""
    check_columns(file, NAMES, wanted)
    malformed, notes = Malformed(), ("read as the Netflix Prize writes it, a film and then its ratings",)
    item, number, films, made, rest = None, 0, 0, 0, b""
    for chunk in chain(streams.raw_chunks(file.path, file.entry), (b"\n",)):
        *whole, rest = (rest + chunk).split(b"\n")
        rows: list[tuple[str, ...]] = []
        lines: list[int] = []
        for text in (line.decode(errors="replace").rstrip("\r") for line in whole):
            number += 1
            fields = text.split(",")
            if text.endswith(":"):
                item, films = text[:-1], films + 1
            elif item and len(fields) == len(NAMES) - 1:
                rows.append((item, *fields))
                lines.append(number)
            elif text:
                malformed.add(number, text)
        made += len(rows)
        columns = dict(zip(NAMES, zip(*rows, strict=True), strict=True)) if rows else {}
        arrays = {c: pa.array(columns.get(c, ()), pa.string()) for c in wanted}
        yield Batch(arrays, 1, len(rows), malformed, notes, lines=np.array(lines, np.int64))
    records = count_lines(streams.raw_chunks(file.path, file.entry)) - films
    yield Batch({c: pa.nulls(0, pa.string()) for c in wanted}, 1, 0, malformed, notes, records)
