"""Claims in an object store, on a real S3 API: one holder at a time, whoever dies or is held up."""

import json
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from obstore.store import MemoryStore

from expectations.errors import Failure
from tasks.engine import claims
from tasks.engine.lake import Lake, Ref

DAY = "2026-03-01"
NAME = Ref("index", DAY, "k" * 32)


@pytest.fixture
def lake(s3_url, tmp_path, monkeypatch) -> Lake:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setattr(claims, "ASKS_AGAIN_S", 0.02)
    monkeypatch.setattr(claims, "BEATS_S", 0.2)
    return Lake(s3_url.replace("/night", f"/{tmp_path.name}"), tmp_path)


@pytest.fixture
def store(lake):
    made = lake._claims
    assert made is not None
    return made


def names(store) -> set[str]:
    return {facts["path"] for page in store.list() for facts in page}


def test_one_at_a_time_and_nothing_is_left(lake, store):
    """Every one of eight reads, waits and writes a count that nobody else may touch meanwhile."""
    count = {"now": 0}

    def add() -> None:
        with lake.claim([NAME]):
            seen = count["now"]
            time.sleep(0.01)
            count["now"] = seen + 1

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count["now"] == 8 and names(store) == set()


def test_those_who_want_several_wait_in_one_order(lake):
    refs = [Ref("index", DAY, key * 32) for key in "abcd"]
    threads = [threading.Thread(target=_hold, args=(lake, some)) for some in (refs, refs[::-1], refs[1:], refs[2::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)


def _hold(lake: Lake, refs: list[Ref]) -> None:
    for _ in range(3):
        with lake.claim(refs):
            time.sleep(0.001)


KILLED = """
import os, sys
from pathlib import Path
from tasks.engine.lake import Lake, Ref
with Lake(sys.argv[1], Path(sys.argv[2])).claim([Ref("index", "2026-03-01", "k" * 32)]):
    print("held", flush=True)
    sys.stdin.read()
    os._exit(9)
"""


def test_who_was_killed_on_this_machine_holds_nothing(lake, tmp_path):
    command = [sys.executable, "-c", KILLED, lake.url, str(tmp_path / "other")]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout and holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with lake.claim([NAME]) as claim:  # at once: claims lapse after two minutes
        claim.verify()


FAR = {"heart": "holders/far", "machine": "another", "process": "1.1"}


def test_another_machine_is_watched_until_its_heart_has_stood_still(store, monkeypatch):
    now = 0.0
    monkeypatch.setattr(claims, "_clock", lambda: now)
    watch = claims._Watch(store)
    for beat in range(3):
        store.put("holders/far", json.dumps({"beat": beat}).encode())
        assert not watch.is_dead(FAR)
        now += claims.LAPSES_S + 1
    now -= 2
    assert not watch.is_dead(FAR)
    now += 2
    assert watch.is_dead(FAR)
    assert "ended" in bytes(store.get("holders/far").bytes()).decode()
    assert claims._Watch(store).is_dead(FAR), "for whoever asks now, at once"


def test_its_claim_is_taken_over(lake, store, monkeypatch):
    monkeypatch.setattr(claims, "LAPSES_S", 0.3)
    store.put("holders/far", b'{"beat": 0}')
    store.put(NAME.key, json.dumps(FAR).encode())
    with lake.claim([NAME]):
        assert json.loads(bytes(store.get(NAME.key).bytes()))["machine"] != "another"
    assert names(store) == {"holders/far"}


@pytest.mark.parametrize("text", [b"", b"[]", b'{"heart": "holders/nobody"}', b"<html>"])
def test_what_no_holder_vouches_for_is_no_claim(lake, store, text):
    store.put(NAME.key, text)
    with lake.claim([NAME]):
        pass
    assert names(store) == set()


def test_a_holder_that_was_held_up_publishes_nothing_and_leaves_the_other_alone(lake, store, monkeypatch):
    """Its heart stood still, as its machine slept, say; another took over, and only then does it wake."""
    monkeypatch.setattr(claims, "BEATS_S", 1e6)
    with lake.claim([NAME]) as slept:
        slept.verify()
        mine = json.loads(bytes(store.get(NAME.key).bytes()))
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(claims, "machine_name", lambda: "another")
            elsewhere.setattr(claims, "LAPSES_S", 0.3)
            other = claims.hold(store, [NAME.key])
            claim = other.__enter__()
        now = claims._clock()
        monkeypatch.setattr(claims, "_clock", lambda: now + claims.LAPSES_S)
        with pytest.raises(Failure, match="another has taken over"):
            slept.verify()
        claim.verify()
    theirs = json.loads(bytes(store.get(NAME.key).bytes()))
    assert theirs["heart"] != mine["heart"]
    other.__exit__(None, None, None)
    assert NAME.key not in names(store)


def test_who_was_held_up_and_whom_nobody_missed_goes_on(lake, monkeypatch):
    monkeypatch.setattr(claims, "BEATS_S", 1e6)
    with lake.claim([NAME]) as claim:
        now = claims._clock()
        monkeypatch.setattr(claims, "_clock", lambda: now + 10 * claims.LAPSES_S)
        claim.verify()


def test_a_write_that_was_done_twice_is_done(lake, store, monkeypatch):
    """A client that gets no answer writes again, and is refused what it has written itself."""
    put = claims._write

    def twice(store, name, told, state):
        made = put(store, name, told, state)
        return put(store, name, told, None) if state is None else made

    monkeypatch.setattr(claims, "BEATS_S", 1e6)
    monkeypatch.setattr(claims, "_write", twice)
    with lake.claim([NAME]) as claim:
        monkeypatch.setattr(claims, "_write", put)
        claim.verify()
    assert names(store) == set()


def test_what_was_left_long_ago_is_forgotten(lake, store, monkeypatch):
    store.put("holders/old", b"{}")
    lake.sweep()
    assert names(store) == {"holders/old"}
    monkeypatch.setattr(claims, "FORGOTTEN", -claims.FORGOTTEN)
    lake.sweep()
    assert names(store) == set()


def test_a_store_without_conditions_is_told_of_once(lake, monkeypatch, capsys):
    claims.open_store.cache_clear()
    monkeypatch.setattr(claims, "_why_it_cannot", lambda store: "it writes over what it was to leave")
    for _ in range(2):
        with lake.claim([NAME]) as claim:
            claim.verify()
    assert capsys.readouterr().err.count("holds no claims (it writes over") == 1
    claims.open_store.cache_clear()


def test_a_store_that_writes_over_is_found_out():
    class Careless:
        def __init__(self) -> None:
            self.inner = MemoryStore()

        def put(self, name: str, data: bytes, mode: object) -> object:
            return self.inner.put(name, data)

        def delete(self, name: str) -> None:
            self.inner.delete(name)

    store: Any = Careless()
    assert "writes over" in claims._why_it_cannot(store) and claims._why_it_cannot(MemoryStore()) == ""
