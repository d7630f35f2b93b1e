"""What else people did with items, from a log, as the `actions` of a day."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.datasets import ACTION_KINDS, ACTIONS
from tasks.sources.config import ActionsFile
from tasks.sources.day_tables import day_table
from tasks.sources.days import Day
from tasks.sources.parsed_files import Checked, Forms, Piece, Reading, run_of
from tasks.sources.reading import Batch, DataFile
from tasks.sources.values import as_text

_KNOWN = ", ".join(ACTION_KINDS)


@dataclass(frozen=True)
class ActionsReading(Reading):
    """How actions are to be understood."""

    columns: ActionsFile

    code_at = "tasks.sources.actions:ActionsReading"

    @property
    def time(self) -> str:
        return self.columns.time

    @property
    def wanted(self) -> list[str]:
        return self.columns.names

    @property
    def run_type(self) -> np.dtype:
        """Rows of a run; `kind` is a place in `ACTION_KINDS`."""
        optional = {"item": "<i4", "value": "<f4"}
        mapped = [(name, type_) for name, type_ in optional.items() if getattr(self.columns, name)]
        return np.dtype([("time", "<i8"), ("user", "<i4"), ("kind", "i1"), *mapped])

    def pieces(self, file: DataFile, batch: Batch, forms: Forms) -> Iterator[Piece]:
        """All rows of the batch as one; those that the settings pass over are used up."""
        c, checked = self.columns, Checked(file, batch, self, forms)
        translated = {**{kind: kind for kind in ACTION_KINDS}, **dict(c.kinds)}
        words = as_text(batch.columns[c.action], checked.where(c.action))
        known = pc.index_in(words, value_set=pa.array(list(translated)))
        kinds = np.array([*(ACTION_KINDS.index(k) if k else -1 for k in translated.values()), -2])
        kind = kinds[known.fill_null(len(translated)).to_numpy(zero_copy_only=False)]
        unknown = f"an action that is none of {_KNOWN}; say in source.actions.kinds which it is"
        checked.pass_over(kind == -1)
        checked.refuse(kind == -2, unknown, c.action)
        texts = {"user": checked.ids("user", c.user)}
        numbers = {"time": checked.time(c.time), "kind": kind}
        if c.item:
            texts["item"] = checked.ids("item", c.item, required=False)
        if c.value:
            numbers["value"] = checked.number("value", c.value, kind == ACTION_KINDS.index("rate"))
        run = run_of(self.run_type, texts, numbers, checked.ok & checked.counts)
        yield Piece({"": run}, int(checked.ok.sum()), checked.refusals, checked.num_future)


def actions_of(rows: np.ndarray, day: int) -> Day:
    """Make the actions of a day, each once.

    Args:
        rows: run rows with dense ids.
        day: days since 1970.
    """
    names = rows.dtype.names or ()

    def columns(kept: np.ndarray) -> dict[str, pa.Array]:
        made = {"action": pa.array(ACTION_KINDS).take(pa.array(kept["kind"]))}
        if "item" in names:
            made["item_id"] = pa.array(kept["item"], mask=kept["item"] < 0)
        if "value" in names:
            made["value"] = pa.array(kept["value"], mask=np.isnan(kept["value"]))
        return made

    return day_table(ACTIONS, rows, day, columns)
