"""What people searched for, from a log, as the `searches` of a day."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.datasets import SEARCHES
from tasks.sources.config import SearchesFile
from tasks.sources.day_tables import day_table
from tasks.sources.days import Day
from tasks.sources.parsed_files import Checked, Forms, Piece, Reading, run_of
from tasks.sources.reading import Batch, DataFile
from tasks.sources.values import as_text


@dataclass(frozen=True)
class SearchesReading(Reading):
    """How searches are to be understood."""

    columns: SearchesFile

    code_at = "tasks.sources.searches:SearchesReading"

    @property
    def time(self) -> str:
        return self.columns.time

    @property
    def wanted(self) -> list[str]:
        return self.columns.names

    @property
    def run_type(self) -> np.dtype:
        """Rows of a run."""
        item = [("item", "<i4")] if self.columns.clicked_item else []
        return np.dtype([("time", "<i8"), ("user", "<i4"), ("query", "<i4"), *item])

    def pieces(self, file: DataFile, batch: Batch, forms: Forms) -> Iterator[Piece]:
        """All rows of the batch as one."""
        c, checked = self.columns, Checked(file, batch, self, forms)
        texts = {"user": checked.ids("user", c.user)}
        numbers = {"time": checked.time(c.time)}
        typed = as_text(batch.columns[c.text], checked.where(c.text)).dictionary_encode()
        places = typed.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        checked.refuse(places < 0, "nothing typed", c.text)
        texts["query"] = places, typed.dictionary
        if c.clicked_item:
            texts["item"] = checked.ids("item", c.clicked_item, required=False)
        run = run_of(self.run_type, texts, numbers, checked.ok)
        yield Piece({"": run}, len(run.rows), checked.refusals, checked.num_future)


def searches_of(rows: np.ndarray, day: int, queries: pa.Array) -> Day:
    """Make the searches of a day, each once.

    Args:
        rows: run rows with dense ids.
        day: days since 1970.
        queries: texts that `query` numbers.
    """

    def columns(kept: np.ndarray) -> dict[str, pa.Array]:
        query = queries.take(pa.array(kept["query"]))
        made = {"query": query, "tokens": words_of(query)}
        if "item" in (rows.dtype.names or ()):
            made["clicked_item_id"] = pa.array(kept["item"], mask=kept["item"] < 0)
        return made

    return day_table(SEARCHES, rows, day, columns)


def words_of(queries: pa.Array) -> pa.Array:
    """The lower-case words of each: runs of letters and digits."""
    apart = pc.replace_substring_regex(pc.utf8_lower(queries), r"[^\p{L}\p{M}\p{N}]+", " ")
    trimmed = pc.utf8_trim_whitespace(apart)
    words = pc.split_pattern(trimmed, " ")
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar([], pa.list_(pa.string())), words)
