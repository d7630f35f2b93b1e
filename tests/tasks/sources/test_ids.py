"""Outside ids of any kind, once, in the order that keeps them."""

import uuid
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest

from tasks.sources.catalogue import known_by
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
