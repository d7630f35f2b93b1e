"""Outside ids become dense int32 here, once, as a pure function of the source.

Ids that the users or items file lists come in the order of the date listed there, those without a date before all
others; ids that only the log has come by the day of their first event. Ties go by id, shorter ones first, so that
numbers stand in numeric order. So what is known on a day keeps its id whatever is logged later, and a late or
corrected day moves no id of a listed user or item.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import UserError
from tasks.sources.values import MICROS_PER_DAY, without_point_zero

ALWAYS = np.int32(-(2**31))
"""Day of what has been known from the beginning."""

NEVER = np.int64(2**62)
"""First event of what has none."""


@dataclass(frozen=True)
class Ids:
    """All ids of one kind; place = dense id.

    Attributes:
        external: `[N]` outside ids.
        known_day: int32 `[N]`, days since 1970 from which the id is known: listed then, or in an event then.
        first_time: int64 `[N]`, microseconds of the first event, `NEVER` without one.
        listed_row: int32 `[N]`, row in the listing, -1 if not listed.
        was_float: an id that was written with `.0` and is known without; empty where there was none.
    """

    external: pa.Array
    known_day: np.ndarray
    first_time: np.ndarray
    listed_row: np.ndarray
    was_float: str = ""


def assign_ids(
    in_runs: list[pa.Array],
    first_times: list[np.ndarray],
    listed: pa.Array,
    listed_day: np.ndarray,
    where: str = "source.path",
) -> tuple[Ids, list[np.ndarray]]:
    """Give every outside id its dense one.

    Args:
        in_runs: outside ids of each run, and `first_times` the time of the first event of each.
        listed: outside ids of the listing, and `listed_day` the day of each, `ALWAYS` without a date.
        where: what people call the ids, for errors.

    Returns:
        The ids, and for each run an int32 array from places in it to dense ids.

    Raises:
        UserError: floats have made one id of several, or what is listed has an id with and without `.0`.
    """
    groups = [*in_runs, listed]
    encoded = pa.concat_arrays(groups).dictionary_encode()
    written = encoded.dictionary
    whole = without_point_zero(written, where).dictionary_encode()
    external = whole.dictionary
    all_codes = whole.indices.to_numpy()[encoded.indices.to_numpy()]
    codes = np.split(all_codes, np.cumsum([len(group) for group in groups])[:-1])
    _refuse_both(codes[-1], listed, where)
    first_time = np.full(len(external), NEVER)
    for run_codes, times in zip(codes, first_times, strict=False):
        first_time[run_codes] = np.minimum(first_time[run_codes], times)
    listed_row = np.full(len(external), -1, dtype=np.int32)
    listed_row[codes[-1]] = np.arange(len(listed), dtype=np.int32)
    event_day = np.minimum(first_time // MICROS_PER_DAY, 2**31 - 1).astype(np.int32)
    is_listed = listed_row >= 0
    order_day = np.where(is_listed, np.append(listed_day, ALWAYS)[listed_row], event_day).astype(np.int32)

    table = pa.table({"day": order_day, "length": pc.utf8_length(external), "id": external})
    order = pc.sort_indices(table, [(name, "ascending") for name in table.column_names]).to_numpy()
    dense = np.empty(len(order), dtype=np.int32)
    dense[order] = np.arange(len(order), dtype=np.int32)
    ids = Ids(
        external.take(pa.array(order)),
        np.minimum(order_day, event_day)[order],
        first_time[order],
        listed_row[order],
        _first_float(written, external),
    )
    return ids, [dense[run_codes] for run_codes in codes[:-1]]


def _refuse_both(codes: np.ndarray, listed: pa.Array, where: str) -> None:
    if len(np.unique(codes)) < len(codes):
        both = [listed[int(place)].as_py() for place in np.flatnonzero(codes == np.argmax(np.bincount(codes)))[:2]]
        raise UserError(f"{where}: {both[0]!r} and {both[1]!r} are both listed, and are the same id; keep one of them")


def _first_float(written: pa.Array, external: pa.Array) -> str:
    gone = written.filter(pc.invert(pc.is_in(written, external)))
    return str(gone[0].as_py()) if len(gone) else ""


def first_times(rows: np.ndarray, kind: str, count: int) -> np.ndarray:
    """Time of the first row of each of `count` places; `rows` are sorted by time and have every place."""
    times = np.empty(count, dtype=np.int64)
    # Of assignments to one place the last stands: backwards, that is the earliest.
    times[rows[kind][::-1]] = rows["time"][::-1]
    return times
