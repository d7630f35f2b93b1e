"""Outside ids of any kind, once, in the order that keeps them."""

import uuid
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from expectations.errors import UserError
from tasks.sources.catalogue import known_by
from tasks.sources.config import ItemsFile, SourceConfig
from tasks.sources.ids import ALWAYS, NEVER, assign_ids
from tasks.sources.values import MICROS_PER_DAY


def at(*days: int) -> np.ndarray:
    return np.array(days, dtype=np.int64) * MICROS_PER_DAY + 7


def slow_order(in_runs, listed) -> list[str]:
    """The rule, as written: listed day or first event day, then length, then text."""
    first: dict[str, int] = defaultdict(lambda: 10**6)
    for names, days in in_runs:
        for name, day in zip(names, days, strict=True):
            first[name] = min(first[name], day)
    day_of = {**first, **{name: -(10**6) if day is None else day for name, day in listed.items()}}
    return sorted(day_of, key=lambda name: (day_of[name], len(name), name))


def assign(in_runs, listed):
    names = pa.array(list(listed), pa.string())
    days = np.array([ALWAYS if d is None else d for d in listed.values()], dtype=np.int32)
    return assign_ids([pa.array(n) for n, _ in in_runs], [at(*d) for _, d in in_runs], names, days)


@pytest.mark.parametrize("listed", [{}, {"b": None, "z": None}, {"b": 5, "zz": 3, "q": None}])
def test_order_and_places_against_a_slow_reference(listed):
    in_runs = [(["c", "10", "9"], [4, 2, 2]), (["9", "b", "a"], [1, 1, 9])]
    ids, dense = assign(in_runs, listed)
    assert ids.external.to_pylist() == slow_order(in_runs, listed)
    for (names, _), places in zip(in_runs, dense, strict=True):
        assert [ids.external[int(p)].as_py() for p in places] == names


def test_known_from_listing_or_first_event_whichever_is_earlier():
    ids, _ = assign([(["early", "late", "only_log"], [2, 9, 4])], {"early": 5, "late": 5, "undated": None, "never": 7})
    known = dict(zip(ids.external.to_pylist(), ids.known_day.tolist(), strict=True))
    assert known == {"early": 2, "late": 5, "only_log": 4, "undated": ALWAYS, "never": 7}
    first = dict(zip(ids.external.to_pylist(), ids.first_time.tolist(), strict=True))
    assert first["never"] == NEVER
    assert first["late"] == at(9)[0]


def test_later_events_move_no_id_that_was_known():
    before, _ = assign([(["c", "a"], [1, 2])], {"x": 1, "y": None})
    after, _ = assign([(["c", "a", "0"], [1, 2, 3])], {"x": 1, "y": None})
    assert after.external.to_pylist()[: len(before.external)] == before.external.to_pylist()


@pytest.mark.parametrize("kind", ["int", "text", "uuid", "uuid_bytes", "float", "dictionary"])
def test_ids_of_any_kind_come_back(kind, parquet_source, look):
    names = [str(uuid.UUID(int=5)), str(uuid.UUID(int=3))] if "uuid" in kind else ["12", "7"]
    values = {
        "int": lambda: pa.array([int(n) for n in names], pa.uint32()),
        "text": lambda: pa.array([f" {n} " for n in names]),
        "uuid": lambda: pa.array(names),
        "uuid_bytes": lambda: pa.array([uuid.UUID(n).bytes for n in names], pa.binary(16)),
        "float": lambda: pa.array([float(n) for n in names]),
        "dictionary": lambda: pa.array(names).dictionary_encode(),
    }[kind]()
    scan = look(parquet_source({"user": values, "item": values, "time": [1_500_000_000, 1_500_000_000]}))
    id_map = known_by(scan, scan.last_day).tables["id_map"].to_pylist()
    assert {(r["kind"], r["id"], r["external_id"]) for r in id_map} == {
        (kind, n, name) for kind in ("user", "item") for n, name in enumerate(sorted(names, key=lambda s: (len(s), s)))
    }


def test_id_map_has_what_is_known_on_the_day(shapes, world, look, tmp_path):
    scan = look(shapes["hive"](world, tmp_path / "source"))
    for day in scan.days:
        known = known_by(scan, day).tables
        seen = {str(e.user) for e in world.events if e.day <= day}
        rows = [r for r in known["id_map"].to_pylist() if r["kind"] == "user"]
        assert {r["external_id"] for r in rows} == seen
        assert known["users"]["user_id"].to_pylist() == [r["id"] for r in rows] == list(range(len(seen)))


def test_floats_in_the_log_are_the_numbers_of_the_catalogue(table_source, tmp_path, look):
    config = table_source("user,item,time\na,1001.0,2020-05-01\nb,A17,2020-05-02\n", items=ItemsFile(path="items.csv"))
    (tmp_path / "source" / "items.csv").write_text("item\n1001\nA17\n")
    found = look(config)
    assert found.ids("item").external.to_pylist() == ["A17", "1001"] and found.ids("item").listed_row.min() == 0
    assert found.notes == ("item ids such as '1001.0' are known as the whole numbers that they are.",)
    (tmp_path / "source" / "items.csv").write_text("item\n1001\n1001.0\n")
    with pytest.raises(UserError, match=r"'1001' and '1001\.0' are both listed, and are the same id"):
        look(config)


def listed_as(name: str, table_source, tmp_path, events: range, listed: range) -> SourceConfig:
    rows = "".join(f"u{n},{n},2020-05-01T{n % 24:02d}:00\n" for n in events)
    (tmp_path / "source").mkdir(exist_ok=True)
    (tmp_path / "source" / "items.csv").write_text("item\n" + "".join(f"{name.format(n)}\n" for n in listed))
    return table_source(f"user,item,time\n{rows}", items=ItemsFile(path="items.csv"))


def test_a_log_and_a_catalogue_of_two_systems(table_source, tmp_path, look):
    config = listed_as("i{}", table_source, tmp_path, range(40), range(80))
    with pytest.raises(
        UserError, match=r"0 of 40 events are of a listed item.*'0', '1'.*'i0', 'i1'(?s:.*)source\.strict"
    ):
        look(config)
    (note,) = look(replace(config, strict=False)).notes
    assert "0 of 80 listed items have an event" in note


@pytest.mark.parametrize(
    ("events", "listed"), [(range(40), range(4000)), (range(4000), range(40)), (range(9), range(9, 99))]
)
def test_a_catalogue_may_be_much_larger_or_smaller_than_the_log(events, listed, table_source, tmp_path, look):
    assert look(listed_as("{}", table_source, tmp_path, events, listed)).notes == ()
