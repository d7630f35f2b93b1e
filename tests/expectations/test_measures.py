"""Measures against the slow, obvious way to compute them."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.measures import Audited, columns_of, compute, parse
from expectations.parts import Chunk, Segment

DAY = "2026-03-01"
lists = st.lists(st.one_of(st.none(), st.lists(st.integers(-3, 3), max_size=4)), min_size=1, max_size=12)


def audited(table: pa.Table, segments: tuple[Segment, ...] = (), **references: Any) -> Audited:
    whole = segments or (Segment(DAY, 0, table.num_rows),)
    return Audited(Chunk(table, whole), {name: pa.array(ids) for name, ids in references.items()})


def measured(measure: str, values: list[Any], type_: pa.DataType, **references: Any) -> list[Any]:
    table = pa.table({parse(measure)[1][0]: pa.array(values, type_)})
    return list(compute(measure, audited(table, **references)))


def same(found: list[Any], wanted: list[Any]) -> None:
    """Equal, where None and NaN both mean that there is no value."""
    assert [None if v is None or math.isnan(v) else v for v in found] == wanted


def test_a_measure_names_the_columns_it_reads() -> None:
    assert parse("time") == ("", ("time",))
    assert parse("key(user_id, item_id)") == ("key", ("user_id", "item_id"))
    assert columns_of("known(clicked_item_id, item_id)") == ("clicked_item_id",)
    assert columns_of("times_duration(watch_s)") == ("watch_s", "item_id")


@given(
    st.lists(st.tuples(st.integers(-(2**62), 2**62), st.sampled_from(["a", "b", None]), st.integers(-(2**62), 2**62)))
)
def test_keys_are_equal_exactly_where_all_columns_are(rows: list[tuple[Any, ...]]) -> None:
    table = pa.table({n: pa.array([r[i] for r in rows], t) for i, (n, t) in enumerate(KEY_TYPES)})
    half = len(rows) // 2
    segments = (Segment("2026-03-01", 0, half), Segment("2026-03-02", 0, len(rows) - half))
    keys = list(compute("key(a, b, c)", audited(table, segments)))
    whole = [(i < half, *row) for i, row in enumerate(rows)]
    assert [[x == y for y in keys] for x in keys] == [[x == y for y in whole] for x in whole]


KEY_TYPES = (("a", pa.int64()), ("b", pa.string()), ("c", pa.int64()))


@given(st.lists(st.one_of(st.none(), st.integers(-50, 50))), st.lists(st.integers(0, 40), max_size=8))
def test_known_is_membership(ids: list[int | None], existing: list[int]) -> None:
    found = measured("known(user_id, user_id)", ids, pa.int32(), user_id=pa.array(existing, pa.int32()))
    same(found, [None if i is None else float(i in existing) for i in ids])


def test_known_takes_text_too() -> None:
    same(measured("known(a, user_id)", ["x", None, "y"], pa.string(), user_id=["y"]), [0.0, None, 1.0])


@given(lists)
def test_measures_of_lists(values: list[list[int] | None]) -> None:
    def of(measure: str) -> list[Any]:
        return measured(f"{measure}(a)", values, pa.list_(pa.int32()))

    def slow(function: Callable[[list[int]], float]) -> list[float | None]:
        return [function(v) if v else None for v in values]

    same(of("least"), slow(min))
    same(of("most"), slow(max))
    same(of("length"), [None if v is None else len(v) for v in values])
    same(of("ascending"), slow(lambda v: float(v == sorted(v))))
    same(of("strictly_ascending"), slow(lambda v: float(v == sorted(set(v)))))
    norms, wanted = of("norm"), slow(lambda v: math.sqrt(sum(x * x for x in v)))
    np.testing.assert_allclose(norms, [math.nan if w is None else w for w in wanted])


def test_missing_elements_are_counted_where_they_are() -> None:
    values = [[1.0, None], [], None, [math.nan, math.inf, 2.0], [3.0]]
    same(measured("missing_in(a)", values, pa.list_(pa.float32())), [1, None, None, 2, 0])
    same(measured("missing_in(a)", [["x", None, None], ["y"]], pa.list_(pa.string())), [2, 0])


def test_one_vector_that_is_not_finite_spoils_no_other() -> None:
    norms = measured("norm(a)", [[3.0, 4.0], [math.nan, 1.0], [0.6, 0.8]], pa.list_(pa.float32()))
    assert norms[0] == 5 and math.isnan(norms[1]) and norms[2] == pytest.approx(1)


def test_hours_count_from_the_midnight_of_each_artifact() -> None:
    times = [datetime(2026, 3, 1, 6, tzinfo=UTC), None, datetime(2026, 3, 1, 6, tzinfo=UTC)]
    table = pa.table({"time": pa.array(times, pa.timestamp("us", "UTC"))})
    segments = (Segment("2026-03-01", 0, 2), Segment("2026-03-02", 0, 1))
    same(list(compute("hours_into_day(time)", audited(table, segments))), [6, None, -18])
    same(measured("hours_into_day(a)", [date(2026, 3, 2), date(2026, 2, 28), None], pa.date32()), [24, -24, None])
    seconds = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp())
    same(measured("hours_into_day(a)", [[0, seconds], [], None], pa.list_(pa.int64())), [12, None, None])


def test_durations_are_looked_up_by_item_whatever_their_order() -> None:
    table = pa.table(
        {"watch_s": pa.array([50.0, 50.0, None, 50.0, 50.0]), "item_id": pa.array([7, 3, 3, 99, 5], pa.int32())}
    )
    rows = audited(table, item_id=[7, 5, 3], duration_s=[100.0, 0.0, 25.0])
    same(list(compute("times_duration(watch_s)", rows)), [0.5, 2.0, None, None, None])


def test_nan_is_a_value_and_null_is_none() -> None:
    found = measured("a", [1.5, None, math.nan], pa.float32())
    assert found[0] == 1.5 and math.isnan(found[1]) and found[2] == math.inf


def test_integers_stay_exact() -> None:
    assert measured("a", [2**60 + 1, 2**60], pa.int64()) == [2**60 + 1, 2**60]
    same(measured("a", [5, None], pa.int16()), [5, None])


def test_columns_differ_or_not() -> None:
    table = pa.table({"a": pa.array([1, 1, None], pa.int32()), "b": pa.array([1, 2, 3], pa.int32())})
    same(list(compute("differ(a, b)", audited(table))), [0.0, 1.0, None])
