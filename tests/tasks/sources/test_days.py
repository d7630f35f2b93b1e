"""One day of rows, and the last day that a log has whole."""

from datetime import date

import numpy as np
import pytest

from tasks.sources.days import iso_day, last_whole_day, make_day
from tasks.sources.values import MICROS_PER_DAY

HOUR = 3_600_000_000


def last_at(*hours: float, first_day: int = 18_000) -> dict[int, int]:
    return {first_day + n: int((first_day + n) * MICROS_PER_DAY + h * HOUR) for n, h in enumerate(hours)}


@pytest.mark.parametrize(
    ("hours", "whole", "why"),
    [
        ([23.5] * 9, 8, "as late as ever"),
        ([23.5] * 8 + [12], 7, "cut at noon"),
        ([23.5, 22, 23, 21, 23, 22.5], 5, "within what is usual"),
        ([0.0] * 5, 4, "dates without times: midnight is the usual end"),
        ([12.0], 0, "nothing to compare with"),
        ([23.9] * 20 + [1.0] + [23.9] * 20 + [14.0], 40, "one odd day does not excuse a cut"),
        ([12.0] * 30 + [23.9] * 28 + [13.0], 57, "compared with the last four weeks only"),
    ],
)
def test_last_whole_day(hours, whole, why):
    assert last_whole_day(last_at(*hours)) == 18_000 + whole, why


def test_the_day_before_a_cut_one_counts_even_without_events():
    times = last_at(23.5, 23.5, 23.5)
    times[18_009] = 18_009 * MICROS_PER_DAY + 2 * HOUR
    assert last_whole_day(times) == 18_008


def test_today_is_never_whole(table_source, look):
    config = table_source("user,item,time\na,x,2025-12-30T10:00\nb,x,2025-12-31T10:00\nc,x,2026-01-01T23:59\n")
    assert look(config, "2026-01-01").last_full_day == "2025-12-31"
    assert look(config, "2026-01-02").last_full_day == "2026-01-01"


def test_rows_are_by_time_user_and_item_and_once_each():
    type_ = np.dtype([("time", "<i8"), ("user", "<i4"), ("item", "<i4"), ("rating", "<f4")])
    rng = np.random.default_rng(5)
    rows = np.zeros(400, type_)
    day = 18_000
    rows["time"] = day * MICROS_PER_DAY + rng.integers(0, 6, 400) * HOUR
    rows["user"], rows["item"] = rng.integers(0, 5, 400), rng.integers(0, 5, 400)
    rows["rating"] = np.where(rng.random(400) < 0.3, np.nan, rng.integers(1, 6, 400))
    best: dict[tuple[int, int, int], float] = {}
    for time, user, item, rating in rows.tolist():
        known = best.get((time, user, item), -np.inf)
        best[time, user, item] = max(known, -np.inf if np.isnan(rating) else rating)
    made = make_day(rows, day, {"rating": 4})
    found = made.table.to_pylist()
    assert [(int(r["time"].timestamp() * 10**6), r["user_id"], r["item_id"]) for r in found] == sorted(best)
    assert [r["rating"] for r in found] == [None if best[k] == -np.inf else best[k] for k in sorted(best)]
    assert [r["positive"] for r in found] == [best[k] >= 4 for k in sorted(best)]
    assert made.num_repeated == 400 - len(best)
    assert make_day(rng.permutation(rows), day, {"rating": 4}).digest == made.digest


def test_iso_days():
    assert iso_day((date(2024, 2, 29) - date(1970, 1, 1)).days) == "2024-02-29"
