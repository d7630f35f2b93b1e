"""Files of any format as batches of the wanted columns, in bounded memory, with every error in words for people."""

import difflib
import lzma
import re
import zipfile
import zlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from expectations.errors import Failure, UserError
from tasks.sources.config import TextFile
from tasks.sources.formats import Format
from tasks.sources.refusals import NUM_EXAMPLES

if TYPE_CHECKING:
    from pyarrow.csv import InvalidRow

    from tasks.sources.table_files import Member

BATCH_ROWS = 1_000_000


@dataclass(frozen=True)
class DataFile:
    """One file and how it is to be read.

    Attributes:
        name: path relative to the source, for messages and to recognise the file by.
        text: how a text file is cut into fields, as far as the settings say.
        key: the section of the settings that says so, for messages.
        entry: name of the file within a zip archive; empty for a file by itself.
        partition: values of hive-partitioned folders above it (`day=2026-03-01`), by name.
        member: what the table that it belongs to says of it (`tasks.sources.table_files`).
    """

    path: Path
    name: str
    format: Format
    text: TextFile = field(default_factory=TextFile)
    key: str = "source"
    entry: str = ""
    partition: tuple[tuple[str, str | None], ...] = ()
    member: "Member | None" = None

    @property
    def first_row(self) -> int:
        """Number of its first row, as `Format.row_word` counts: a header is a line, too."""
        return 2 if self.format.has_header and not self.text.header else 1

    @property
    def where(self) -> str:
        """The file, for messages."""
        return f"{self.path} ({self.entry})" if self.entry else str(self.path)

    @property
    def suffixes(self) -> list[str]:
        """Endings of its name, in small letters, those of compressions too."""
        return [suffix.lower() for suffix in PurePath(self.entry or self.path).suffixes]


@dataclass
class Malformed:
    """Lines of a text file that were left out.

    Attributes:
        word: what numbers of rows count in this file.
        why: what they have that rows do not have.
    """

    word: str = "line"
    why: str = "too few or too many fields"
    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    texts: list[str] = field(default_factory=list)

    def leave_out(self, row: "InvalidRow") -> str:
        """Arrow's handler of such lines."""
        self.add(row.number or 0, row.text)
        return "skip"

    def add(self, number: int, text: str) -> None:
        """Leave a line out."""
        self.numbers.append(number)
        if len(self.texts) < NUM_EXAMPLES:
            self.texts.append(f"{self.word} {number}: {text[:80]!r}")


@dataclass(frozen=True)
class Batch:
    """Some rows of a file.

    Attributes:
        columns: name in the file -> values.
        first: number of its first row as `Format.row_word` counts, malformed lines left out of the count.
        malformed: those of the whole file; complete with the last batch.
        notes: how the file was understood, where that is not plain.
        records: how many the whole file has, by a count that is not the reader's own.
        lines: number in the file of each row, where that does not follow from `first`.
        delimiter: between the fields of a text file, as it was found.
    """

    columns: dict[str, pa.Array]
    first: int
    rows: int
    malformed: Malformed = field(default_factory=Malformed)
    notes: tuple[str, ...] = ()
    records: int | None = None
    lines: np.ndarray | None = None
    delimiter: str = ""

    @property
    def decimal_comma(self) -> bool:
        """Whether `3,5` is a number: where semicolons part fields, because commas do not."""
        return self.delimiter == ";"

    def row_word(self, format_: Format) -> str:
        """What `number` counts: lines are records where values have line breaks in them."""
        return self.malformed.word if format_.is_text else format_.row_word

    def number(self, row: int) -> int:
        """Number in the file of a row of the batch."""
        if self.lines is not None:
            return int(self.lines[row])
        left_out = np.asarray(self.malformed.numbers)
        skipped = np.searchsorted(left_out - np.arange(len(left_out)), self.first + row, side="right")
        return self.first + row + int(skipped)


def read_batches(file: DataFile, wanted: list[str]) -> Iterator[Batch]:
    """Read some columns of a file.

    Raises:
        UserError: it cannot be read, or lacks a wanted column.
        Failure: what was read and left out is not what the file has, by another count.
    """
    partition = dict(file.partition)
    stored = [c for c in wanted if c not in partition]
    rows, batch = 0, None
    with told_in_words(file):
        module, function = file.format.read_at.split(":")
        for batch in getattr(import_module(module), function)(file, stored):
            constants = {
                c: pa.repeat(pa.scalar(partition[c], pa.string()), batch.rows) for c in wanted if c in partition
            }
            rows += batch.rows
            yield replace(batch, columns={**batch.columns, **constants})
    if batch and batch.records is not None and batch.records != rows + len(batch.malformed.numbers):
        raise Failure(
            f"{file.where}: {rows:,} rows were read and {len(batch.malformed.numbers):,} left out, but there are "
            f"{batch.records:,} in the file; say how it is cut into fields ({file.key}.quote, .escape, .delimiter)"
        )


UNREADABLE = (
    pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowNotImplementedError,
    OSError, EOFError, UnicodeDecodeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip


@contextmanager
def told_in_words(file: DataFile) -> Iterator[None]:
    """Turn what a library says of an unreadable file into a sentence.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        yield
    except UNREADABLE as error:
        raise _unreadable(file, error) from error


def read_whole(file: DataFile, wanted: list[str]) -> Batch:
    """Read some columns of a small file, all rows in one batch.

    Raises:
        UserError: it cannot be read, lacks a wanted column, or has lines that are no rows.
    """
    batches = list(read_batches(file, wanted))
    for why, text in ((b.malformed.why, t) for b in batches for t in b.malformed.texts):
        raise UserError(f"{file.where}: {why} in {text}; correct it")
    if not batches:
        return Batch({c: pa.nulls(0, pa.string()) for c in wanted}, 1, 0)
    columns = {c: pa.chunked_array([b.columns[c] for b in batches]).combine_chunks() for c in wanted}
    return replace(batches[0], columns=columns, rows=sum(b.rows for b in batches), lines=_lines(batches))


def _lines(batches: list[Batch]) -> np.ndarray | None:
    each = [b.lines for b in batches if b.lines is not None]
    return np.concatenate(each) if each else None


def check_columns(file: DataFile, there: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse a file that lacks a wanted column or has it twice, naming those it has and the likeliest one."""
    known = [*there, *dict(file.partition)]
    named = f"Name the columns of the file in the config, under {file.key}."
    for name in wanted:
        if there.count(name) > 1:
            raise UserError(
                f"{file.where}: there are {there.count(name)} columns {name!r}; rename all but the one that is meant"
            )
        if name not in known:
            lower = {k.lower(): k for k in known}
            close = difflib.get_close_matches(name.lower(), lower, n=1)
            hint = f" Did you mean {lower[close[0]]!r}?" if close else ""
            split = (
                f" Is the delimiter right ({file.key}.delimiter)?" if len(there) == 1 and file.format.is_text else ""
            )
            raise UserError(
                f"{file.where}: there is no column {name!r}; it has {', '.join(map(repr, known))}.{hint}{split} {named}"
            )


def _unreadable(file: DataFile, error: Exception) -> UserError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    reason = "".join(c if c.isprintable() else repr(c)[1:-1] for c in reason[:200])
    if odd := re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", reason):
        # Arrow cannot hand over a line that is no UTF-8, so such a one cannot be left out.
        return UserError(
            f"{file.where}: line {odd[1]} has {odd[3]} fields, not {odd[2]}, and bytes that are not"
            f" {file.text.encoding}; correct it, or set {file.key}.encoding to the encoding of the file"
        )
    if "UTF8" in reason or "codec" in reason:
        return UserError(
            f"{file.where}: not {file.text.encoding}; set {file.key}.encoding to the encoding of the file ({reason})"
        )
    return UserError(
        f"{file.where}: not readable as {file.format.title}; it may be truncated or something else ({reason}). "
        "Write it again, or take it out of the folder."
    )
