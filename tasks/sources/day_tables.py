"""Rows of a log that happened at moments, actions and searches, as the table of a day."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from expectations.datasets import Dataset
from tasks.sources.days import IDS_PER_DAY, Day


def day_table(
    dataset: Dataset, rows: np.ndarray, day: int, columns: Callable[[np.ndarray], dict[str, pa.Array]]
) -> Day:
    """Rows in order of time and user, each once, with ids that no other day has.

    Logs are often delivered at least once: of rows that have all in common one is kept.

    Args:
        rows: run rows with dense ids, in any order.
        day: days since 1970.
        columns: those of the dataset that only it has, of the rows that are kept.
    """
    names = [name for name in rows.dtype.names or () if name not in ("time", "user")]
    values = [np.nan_to_num(rows[name], nan=-np.inf) for name in names]
    rows = rows[np.lexsort((*values, rows["user"], rows["time"]))]
    same = np.ones(len(rows), dtype=bool)
    same[:1] = False
    for name in rows.dtype.names or ():
        value = rows[name]
        both_missing = (value[1:] != value[1:]) & (value[:-1] != value[:-1])
        same[1:] &= (value[1:] == value[:-1]) | both_missing
    kept = rows[~same]
    made = {
        dataset.key[0]: day * IDS_PER_DAY + np.arange(len(kept), dtype=np.int64),
        "user_id": kept["user"],
        "time": pa.array(kept["time"], type=pa.timestamp("us", tz="UTC")),
        **columns(kept),
    }
    whole = {f.name: made.get(f.name, pa.nulls(len(kept), f.type)) for f in dataset.schema}
    return Day(pa.table(whole, schema=dataset.schema), int(same.sum()))
