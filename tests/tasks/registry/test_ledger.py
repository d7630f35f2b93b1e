"""The ledger on a real MLflow registry in SQLite: order, races, kills, repairs."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import Failure, UserError
from tasks.registry.ledger import LEDGER, Entry, Ledger, champion_at, champion_before, judged
from tasks.registry.registry import MODEL, Registry
from tests.homes import Home

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    registry = Registry(tmp_path / "home")
    registry.database.parent.mkdir(parents=True)
    registry.client.create_registered_model(MODEL)
    for n in range(1, 4):
        registry.client.create_model_version(MODEL, f"file:{tmp_path}/{n}", tags={"nightjar.date": f"2026-03-0{n}"})
    return Ledger(registry)


def command(ledger: Ledger, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    env = os.environ | {"NIGHTJAR_HOME": str(ledger.registry.home)} | environment
    return subprocess.Popen(
        [sys.executable, "-m", "flows", *arguments],
        cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ask(ledger: Ledger, *arguments: str) -> tuple[int, str, str]:
    """The same in this process, for what is neither killed nor raced."""
    done = Home(ledger.registry.home.parent).ask(*arguments)
    return done.returncode, done.stdout, done.stderr


def backdate(ledger: Ledger, sequence: int, days: int) -> None:
    when = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")
    ledger.registry.client.set_model_version_tag(LEDGER, str(sequence), "when", when)


def test_a_promotion_is_an_entry_and_the_alias(ledger):
    entry = ledger.move(2, "better", gates={"ndcg": {"passed": True, "value": 0.5}})
    assert (entry.sequence, entry.before, entry.to, entry.valid) == (1, 0, 2, True)
    assert entry.gates == {"ndcg": {"passed": True, "value": 0.5}}
    assert ledger.registry.aliases() == {"champion": 2}
    assert ledger.move(3, "better still").before == 2


def test_a_move_based_on_an_older_entry_loses_and_says_who_won(ledger, monkeypatch):
    seen = ledger.move(1, "first").sequence
    monkeypatch.setenv("NIGHTJAR_WHO", "ada@here")
    ledger.move(2, "quicker", after=seen)
    with pytest.raises(Failure, match="ada@here made version 2 champion"):
        ledger.move(3, "slower", after=seen)
    assert ledger.registry.aliases()["champion"] == 2
    assert [e.valid for e in ledger.entries()] == [True, True, False]
    assert ledger.move(3, "again").valid


def test_a_move_to_what_is_champion_is_none_and_mends_the_alias(ledger):
    seen = ledger.move(1, "first").sequence
    ledger.registry.point("champion", 3)
    assert ledger.move(1, "again") is None and ledger.move(1, "again", action="rollback", after=seen) is None
    assert [e.to for e in ledger.entries()] == [1] and ledger.registry.aliases()["champion"] == 1
    ledger.move(2, "better")
    with pytest.raises(Failure, match="moved meanwhile"):  # it was decided upon an entry that holds no longer
        ledger.move(2, "better", after=seen)


def test_a_doubled_promote_says_so_and_rollback_goes_to_the_version_before(ledger):
    for version in (1, 2):
        ledger.move(version, f"take {version}")
    code, out, err = ask(ledger, "promote", "2", "--why", "twice")
    assert code == 0 and "version 2 is the champion already; nothing is moved" in out, err
    # A ledger that earlier code has written.
    ledger._append("promote", 2, "twice", "champion", ledger.entries()[-1], {})
    ledger._append("rollback", 2, "to what it was", "champion", ledger.entries()[-1], {})
    code, out, err = ask(ledger, "rollback", "--why", "empty rows")
    assert code == 0 and "champion is version 1 (was 2), entry 5" in out, err
    assert ledger.registry.aliases()["champion"] == 1


@given(st.lists(st.integers(1, 3)), st.booleans())
def test_the_champion_before_is_the_last_other_one(versions, late):
    moved = [0, *versions]
    rows = [
        Entry(n, n - 1, "promote", "champion", moved[n - 1], to, "ada", "2026-03-01T00:00:00+00:00", "why")
        for n, to in enumerate(versions, start=1)
    ]
    if late:  # neither a refusal nor a move that came too late is one
        rows += [Entry(len(rows) + 1, 99, "promote", "champion", 3, 2, "bob", "2026-03-02T00:00:00+00:00", "why")]
        rows += [Entry(len(rows) + 1, 0, "gate", "champion", 3, 1, "bob", "2026-03-02T00:00:00+00:00", "why")]
    others = [v for v in moved if v != moved[-1]]
    assert champion_before(judged(rows)) == (others[-1] if others else 0)


def test_a_refusal_of_the_gates_moves_nothing(ledger):
    ledger.move(1, "first")
    ledger.note(2, "ndcg fell", {"ndcg": {"passed": False}})
    assert ledger.repair() == 1
    assert ledger.move(3, "fine").before == 1


def test_two_processes_that_promote_at_once(ledger):
    ledger.move(1, "first")
    arguments = ("--after", "1", "--why", "mine is better")
    processes = [command(ledger, "promote", str(v), *arguments, NIGHTJAR_WHO=f"w{v}") for v in (2, 3)]
    ends = [(p, *p.communicate(timeout=400)) for p in processes]
    entries = ledger.entries()
    assert [(e.sequence, e.valid) for e in entries] == [(1, True), (2, True), (3, False)]
    won, lost = (next(n for n in (2, 3) if ends[n - 2][0].returncode == code) for code in (0, 1))
    assert f"champion is version {won}" in ends[won - 2][1]
    assert f"moved meanwhile: w{won} made version {won}" in ends[lost - 2][2]
    newest = [e for e in entries if e.valid][-1]
    assert ledger.registry.aliases()["champion"] == newest.to


def test_a_kill_between_entry_and_alias_is_repaired_by_any_command(ledger):
    ledger.move(1, "first")
    killed = command(ledger, "promote", "2", "--why", "dies", NIGHTJAR_FAULT="ledger:written")
    killed.communicate(timeout=400)
    assert killed.returncode == -signal.SIGKILL and ledger.registry.aliases()["champion"] == 1
    code, out, _ = ask(ledger, "history")
    assert code == 0 and "1 -> 2" in out and ledger.registry.aliases()["champion"] == 2


@pytest.mark.parametrize("kills", [2, pytest.param(12, marks=pytest.mark.soak)])
def test_kills_of_promote_at_random_moments(ledger, chance, kills):
    """Whatever was reached, the ledger reads whole, the alias follows from it, and the next promotion works."""
    ledger.move(1, "first")
    for attempt in range(kills):
        running = command(ledger, "promote", str(2 + attempt % 2), "--why", f"attempt {attempt}")
        time.sleep(chance.uniform(1.0, 3.5))
        running.kill()
        running.communicate()
        moves = [e for e in ledger.entries() if e.moves]
        assert ledger.repair() == moves[-1].to == ledger.registry.aliases()["champion"]
    other = 1 if ledger.repair() != 1 else 2  # where every one was killed before its entry, the first is champion still
    code, out, err = ask(ledger, "promote", str(other), "--why", "enough")
    assert code == 0 and f"champion is version {other}" in out, err


def test_a_hand_moved_alias_is_put_back(ledger):
    ledger.move(1, "first")
    ledger.registry.point("champion", 3)
    assert ledger.repair() == 1 and ledger.registry.aliases()["champion"] == 1


def test_history_on_a_day_and_rollback_by_days(ledger):
    for version in (1, 2, 3):
        ledger.move(version, f"take {version}")
    for sequence, days in ((1, 9), (2, 5), (3, 1)):
        backdate(ledger, sequence, days)
    day = (datetime.now(UTC) - timedelta(days=3)).date().isoformat()
    assert "1 -> 2" in ask(ledger, "history", "--on", day)[1]
    code, out, err = ask(ledger, "history", "--on", "2020-01-01")
    assert code == 2 and "no champion yet" in err
    code, out, err = ask(ledger, "rollback", "--days-ago", "7", "--why", "back to what worked")
    assert code == 0 and "champion is version 1 (was 3)" in out, err
    assert ledger.registry.aliases()["champion"] == 1 and ledger.entries()[-1].action == "rollback"


def test_champion_at_a_moment_before_everything_is_none(ledger):
    ledger.move(1, "first")
    assert champion_at(ledger.entries(), datetime(2020, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(("text", "number"), [("2", 2), (":2026-03-03", 3), ("@champion", 1)])
def test_a_version_by_number_day_and_alias(ledger, text, number):
    ledger.move(1, "first")
    assert ledger.registry.find(text).number == number


@pytest.mark.parametrize("text", ["9", ":2020-01-01", "@nobody", "nightjar-recommender/9"])
def test_an_unknown_version_is_refused_with_those_there_are(ledger, text):
    with pytest.raises(UserError, match=r"newest versions: 3 \(of 2026-03-03\)"):
        ledger.registry.find(text)


def test_a_reason_is_needed(ledger):
    with pytest.raises(UserError, match="--why"):
        ledger.move(1, "  ")
    assert ledger.entries() == []
