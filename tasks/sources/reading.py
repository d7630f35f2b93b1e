"""Files of any format as batches of the wanted columns, in bounded memory, with every error in words for people."""

import difflib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from expectations.errors import UserError
from tasks.sources.formats import Format
from tasks.sources.refusals import NUM_EXAMPLES

if TYPE_CHECKING:
    from pyarrow.csv import InvalidRow

BATCH_ROWS = 1_000_000


@dataclass(frozen=True)
class DataFile:
    """One file and how it is to be read.

    Attributes:
        name: path relative to the source, for messages and to recognise the file by.
        delimiter, encoding: of a text file.
        header: column names of a text file that does not name them itself.
        partition: values of hive-partitioned folders above it (`day=2026-03-01`), by name.
    """

    path: Path
    name: str
    format: Format
    delimiter: str = ","
    encoding: str = "utf-8"
    header: tuple[str, ...] = ()
    partition: tuple[tuple[str, str | None], ...] = ()

    @property
    def first_row(self) -> int:
        """Number of its first row, as `Format.row_word` counts: a header is a line, too."""
        return 2 if self.format.is_text and not self.header else 1


@dataclass
class Malformed:
    """Lines of a text file that were left out because they have too few or too many fields."""

    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    texts: list[str] = field(default_factory=list)

    def leave_out(self, row: "InvalidRow") -> str:
        """Arrow's handler of such lines."""
        self.numbers.append(row.number or 0)
        if len(self.texts) < NUM_EXAMPLES:
            self.texts.append(f"line {row.number}: {row.text[:80]!r}")
        return "skip"


@dataclass(frozen=True)
class Batch:
    """Some rows of a file.

    Attributes:
        columns: name in the file -> values.
        first: number of its first row as `Format.row_word` counts, malformed lines left out of the count.
        malformed: those of the whole file; complete with the last batch.
    """

    columns: dict[str, pa.Array]
    first: int
    rows: int
    malformed: Malformed = field(default_factory=Malformed)

    def number(self, row: int) -> int:
        """Number in the file of a row of the batch."""
        left_out = np.asarray(self.malformed.numbers)
        skipped = np.searchsorted(left_out - np.arange(len(left_out)), self.first + row, side="right")
        return self.first + row + int(skipped)


def read_batches(file: DataFile, wanted: list[str]) -> Iterator[Batch]:
    """Read some columns of a file.

    Raises:
        UserError: it cannot be read, or lacks a wanted column.
    """
    partition = dict(file.partition)
    stored = [c for c in wanted if c not in partition]
    try:
        module, function = file.format.read_at.split(":")
        for batch in getattr(import_module(module), function)(file, stored):
            constants = {
                c: pa.repeat(pa.scalar(partition[c], pa.string()), batch.rows) for c in wanted if c in partition
            }
            yield Batch({**batch.columns, **constants}, batch.first, batch.rows, batch.malformed)
    except (pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error) from error


def read_columns(file: DataFile, wanted: list[str]) -> dict[str, pa.Array]:
    """Read some columns of a small file whole.

    Raises:
        UserError: it cannot be read, lacks a wanted column, or has lines with too few or too many fields.
    """
    batches = list(read_batches(file, wanted))
    for text in (t for b in batches for t in b.malformed.texts):
        raise UserError(f"{file.path}: too few or too many fields in {text}; correct it")
    if not batches:
        return {c: pa.nulls(0, pa.string()) for c in wanted}
    return {c: pa.chunked_array([b.columns[c] for b in batches]).combine_chunks() for c in wanted}


def check_columns(file: DataFile, there: list[str], wanted: list[str]) -> None:
    """Refuse a file that lacks a wanted column, naming those it has and the likeliest one."""
    known = [*there, *dict(file.partition)]
    for name in wanted:
        if name not in known:
            lower = {k.lower(): k for k in known}
            close = difflib.get_close_matches(name.lower(), lower, n=1)
            hint = f" Did you mean {lower[close[0]]!r}?" if close else ""
            split = " Is the delimiter right (source.delimiter)?" if len(there) == 1 and file.format.is_text else ""
            raise UserError(
                f"{file.path}: there is no column {name!r}; it has {', '.join(map(repr, known))}.{hint}{split}"
                " Name the columns of the file in the config, under source."
            )


def _unreadable(file: DataFile, error: Exception) -> UserError:
    reason = str(error).splitlines()[0]
    if "UTF8" in reason or "codec" in reason:
        return UserError(
            f"{file.path}: not {file.encoding}; set source.encoding to the encoding of the file ({reason})"
        )
    return UserError(
        f"{file.path}: not readable as {file.format.title}; it may be truncated or something else ({reason}). "
        "Write it again, or take it out of the folder."
    )
