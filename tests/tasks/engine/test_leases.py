"""Leases: told in the lake, seen by every home that shares it, gone when nobody renews them."""

import threading
import time
from pathlib import Path

import pytest

from tasks.engine import leases
from tasks.engine.lake import Lake, Ref
from tasks.engine.leases import hold, leased

A, B = Ref("items", "2026-03-01", "a" * 32), Ref("users", "2026-03-01", "b" * 32)


def test_what_is_held_is_seen_by_every_home_until_it_ends(lake: Lake, tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    lease = hold(lake, "run-1", mine, [A])
    assert leased(lake, mine) == leased(lake, other) == {A}
    lease.add([B])
    assert leased(lake, other) == {A, B}
    lease.end()
    lease.end()
    assert leased(lake, mine, {"run-1"}) == set(), "its own record tells what it stands on"
    assert leased(lake, mine) == {A, B}, "and where that is damaged, the lease does"
    assert leased(lake, other, {"run-1"}) == {A, B}, "others have no record of it"


def test_a_lease_that_nobody_renews_lapses(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(lake, "killed", tmp_path / "home", [A])
    hold(lake, "other", tmp_path / "home", [B]).end(keep_s=0)
    assert leased(lake, tmp_path) == {A}
    moment = time.time() + leases.LASTS_S + 1
    monkeypatch.setattr(time, "time", lambda: moment)
    assert leased(lake, tmp_path) == set()
    assert lake.record_names(leases.FOLDER) == [], "what has lapsed is removed"


def test_a_lease_is_renewed_while_its_holder_lives(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the work takes."""
    renewed = threading.Event()
    write = Lake.write_record
    moments: list[float] = []

    def noted(self: Lake, name: str, record: dict[str, object]) -> None:
        write(self, name, record)
        moments.append(float(str(record["until"])))
        if len(moments) > 2:
            renewed.set()

    monkeypatch.setattr(Lake, "write_record", noted)
    monkeypatch.setattr(leases, "RENEWED_S", 0.05)
    lease = hold(lake, "long", tmp_path, [A])
    assert renewed.wait(120)
    lease.end()
    assert moments[:-1] == sorted(moments[:-1]) and moments[1] > moments[0]


def test_several_may_need_the_same(lake: Lake, tmp_path: Path) -> None:
    first, second = (hold(lake, name, tmp_path, [A]) for name in ("first", "second"))
    first.end(keep_s=0)
    assert leased(lake, tmp_path) == {A}
    second.end(keep_s=0)
    assert leased(lake, tmp_path) == set()
