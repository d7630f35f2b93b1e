"""One day of a parsed log as the `watches` of that day."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa

from expectations.datasets import WATCHES
from tasks.engine.content_digest import table_digest
from tasks.sources.parsed_files import EPOCH
from tasks.sources.values import MICROS_PER_DAY

IDS_PER_DAY = 1 << 32
"""Room for the watches of a day; `watch_id` is the day since 1970 times this, plus the place in the day."""


@dataclass(frozen=True)
class Day:
    """The watches of a day.

    Attributes:
        table: the columns of `watches` that a log can fill, by time, user and item.
        num_repeated: rows left out because user, item and time were there already.
    """

    table: pa.Table
    num_repeated: int

    @property
    def digest(self) -> str:
        """Digest of what is in the day, whatever file and order it came from."""
        return table_digest(self.table, ())


def make_day(rows: np.ndarray, day: int, bars: Mapping[str, float]) -> Day:
    """Make the watches of a day.

    Of rows with the same user, item and time one is kept, the largest by its values, known before missing: logs are
    often delivered at least once.

    Args:
        rows: run rows with dense ids, in any order.
        day: days since 1970.
        bars: column -> value from which on it is a positive; all must be met, a missing value meets none.
    """
    times = np.ascontiguousarray(rows["time"])
    pairs = rows["user"].astype(np.int64) << 32 | rows["item"]
    order = np.lexsort((pairs, times))
    last = np.ones(len(rows), dtype=bool)
    last[:-1] = (np.diff(times[order]) != 0) | (np.diff(pairs[order]) != 0)
    if not last.all():
        values = [n for n in rows.dtype.names or () if n not in ("time", "user", "item")]
        order = np.lexsort((*[np.nan_to_num(rows[n], nan=-np.inf) for n in values], pairs, times))
    rows = rows[order]
    return Day(_table(rows[last], day, bars), int((~last).sum()))


def _table(rows: np.ndarray, day: int, bars: Mapping[str, float]) -> pa.Table:
    names = rows.dtype.names or ()
    positive = np.ones(len(rows), dtype=bool)
    for name, bar in bars.items():
        positive &= rows[name] >= np.float32(bar)
    columns = {
        "watch_id": day * IDS_PER_DAY + np.arange(len(rows), dtype=np.int64),
        "user_id": rows["user"],
        "item_id": rows["item"],
        "time": pa.array(rows["time"], type=pa.timestamp("us", tz="UTC")),
        "weight": _known(rows["weight"], 1.0) if "weight" in names else np.ones(len(rows), dtype=np.float32),
        "positive": positive,
    }
    for name in ("watch_s", "completion", "rating"):
        if name in names:
            columns[name] = pa.array(rows[name], mask=np.isnan(rows[name]))
    schema = pa.schema([f for f in WATCHES.schema if f.name in columns])
    return pa.table({f.name: columns[f.name] for f in schema}, schema=schema)


def _known(values: np.ndarray, otherwise: float) -> np.ndarray:
    return np.where(np.isnan(values), np.float32(otherwise), values).astype(np.float32)


def iso_day(day: int) -> str:
    """Days since 1970 as an ISO date."""
    return (EPOCH + timedelta(days=int(day))).isoformat()


def last_whole_day(last_times: Mapping[int, int]) -> int:
    """The last day that the log has whole, as days since 1970.

    A log that is still being written, or was cut when it was exported, ends in the middle of a day, and judging half
    a day misleads. The last day counts as whole if its last event is about as late as that of other days: the quiet
    time from there to midnight is no longer than on 95 % of the (up to) 28 days with events before it.

    Args:
        last_times: day -> microseconds since 1970 of its last event, for days with events.
    """
    *before, last = sorted(last_times)
    quiet = {day: (day + 1) * MICROS_PER_DAY - last_times[day] for day in (*before[-28:], last)}
    usual = [quiet[day] for day in before[-28:]]
    cut = bool(usual) and quiet[last] > np.quantile(usual, 0.95, method="higher")
    return last - 1 if cut else last
