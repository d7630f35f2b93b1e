"""The ledger on a real MLflow registry in SQLite: order, races, kills, repairs."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import Failure, UserError
from tasks.registry.ledger import LEDGER, Before, Entry, Ledger, champion_at, champion_before, judged
from tasks.registry.registry import MODEL, Registry
from tasks.registry.release_layout import MANIFEST_TAG
from tests.homes import Home
from tests.tasks.released import delete_for_good

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
    assert champion_before(judged(rows)) == Before(others[-1] if others else 0)


@given(st.lists(st.integers(1, 4), min_size=1), st.sets(st.integers(1, 4)))
def test_the_champion_before_is_the_last_other_one_that_is_there(versions, gone):
    """And what was champion in between is told, each once, the newest first."""
    rows = [
        Entry(n, n - 1, "promote", "champion", 0, to, "ada", "2026-03-01T00:00:00+00:00", "why")
        for n, to in enumerate(versions, start=1)
    ]
    found = champion_before(judged(rows), at_hand=lambda entry: 0 if entry.to in gone else entry.to)
    others = [v for v in versions if v != versions[-1]][::-1]
    there = [v for v in others if v not in gone]
    assert found.version == (there[0] if there else 0)
    between = others[: others.index(there[0])] if there else others
    assert list(found.gone) == list(dict.fromkeys(between))


@given(st.integers(2, 8), st.data())
def test_entries_that_somebody_deletes_take_no_others_with_them(num, data):
    """Each move was based on the one before; what is left of them counts, and so does the next."""
    rows = [
        Entry(n, n - 1, "promote", "champion", n - 1, n, "ada", "2026-03-01T00:00:00+00:00", "why")
        for n in range(1, num + 1)
    ]
    left = [row for row in rows if row.sequence not in data.draw(st.sets(st.integers(1, num)))]
    late = Entry(num + 1, 0, "promote", "champion", 0, 9, "bob", "2026-03-01T00:00:00+00:00", "why")
    assert [entry.sequence for entry in judged(left) if entry.moves] == [row.sequence for row in left]
    if left:
        assert not judged([*left, late])[-1].valid
        following = replace(late, after=left[-1].sequence)
        assert judged([*left, following])[-1].valid


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


# --- registries that people tidy --------------------------------------------------------------------------------------


@pytest.fixture
def tidied(tmp_path: Path) -> Ledger:
    """Versions 1 to 5, each of a run, of which 1 to 4 were champion in turn."""
    registry = Registry(tmp_path / "home")
    registry.database.parent.mkdir(parents=True)
    registry.client.create_registered_model(MODEL)
    ledger = Ledger(registry)
    for n in range(1, 6):
        run = registry.client.create_run(registry.experiment_id()).info.run_id
        tags = {"nightjar.date": f"2026-03-0{n}", MANIFEST_TAG: f"digest {n}"}
        registry.client.create_model_version(MODEL, f"file:{tmp_path}/{n}", run, tags=tags)
        if n < 5:
            ledger.move(n, f"take {n}")
    registry.follow("candidate")
    return ledger


def delete(ledger: Ledger, *versions: int) -> None:
    for version in versions:
        ledger.registry.client.delete_model_version(MODEL, str(version))


def forget_alias(ledger: Ledger) -> None:
    ledger.registry.client.delete_registered_model_alias(MODEL, "champion")


def delete_run(ledger: Ledger, version: int, for_good: bool) -> str:
    (run,) = [v.run_id for v in ledger.registry.versions() if v.number == version]
    if for_good:
        delete_for_good(ledger.registry, run)
    else:
        ledger.registry.client.delete_run(run)
    return run


@pytest.mark.parametrize(
    ("tidy", "champion", "before", "passed_over"),
    [
        (lambda ledger: delete(ledger, 4), 0, 3, ""),
        (lambda ledger: delete(ledger, 3), 4, 2, "passed over version 3: gone from the registry"),
        (lambda ledger: delete(ledger, 2, 3, 4), 0, 1, "passed over version 3, 2: gone from the registry"),
        (lambda ledger: delete(ledger, 5), 4, 3, ""),
        (forget_alias, 4, 3, ""),
        (lambda ledger: ledger.registry.point("champion", 1), 4, 3, ""),
        (lambda ledger: delete_run(ledger, 4, for_good=False), 4, 3, ""),
        (lambda ledger: delete_run(ledger, 4, for_good=True), 4, 3, ""),
        (lambda ledger: ledger.registry.client.delete_model_version(LEDGER, "2"), 4, 3, ""),
        (lambda ledger: ledger.registry.client.delete_model_version(LEDGER, "4"), 3, 2, ""),
        (lambda ledger: ledger.registry.client.create_model_version(LEDGER, "file:x"), 4, 3, ""),
        (lambda ledger: ledger.registry.client.set_model_version_tag(LEDGER, "2", "to", "two"), 4, 3, ""),
        (lambda ledger: ledger.registry.client.set_model_version_tag(LEDGER, "2", "when", "noon"), 4, 3, ""),
        (lambda ledger: ledger.registry.client.delete_model_version_tag(LEDGER, "2", "who"), 4, 3, ""),
        (lambda ledger: ledger.registry.client.set_model_version_tag(LEDGER, "2", "gate.ndcg", "5"), 4, 3, ""),
        (lambda ledger: ledger.registry.client.delete_registered_model(LEDGER), 0, 0, ""),
        (lambda ledger: ledger.registry.client.delete_registered_model(MODEL), 0, 0, ""),
    ],
    ids=[
        "the champion", "the one before", "the last three", "the candidate", "the alias", "the alias, moved", "its run",
        "its run, for good", "an entry", "the last entry", "an entry by hand", "an entry's version", "an entry's time",
        "an entry's writer", "an entry's gate", "the ledger", "the model",
    ],
)  # fmt: skip
def test_whatever_is_tidied_away_there_is_a_champion_and_a_way_on(tidied, tidy, champion, before, passed_over):
    tidy(tidied)
    there = {v.number for v in tidied.registry.versions()}
    code, out, err = ask(tidied, "history")
    assert code == 0 and out, err
    assert tidied.champion() == champion and tidied.registry.aliases().get("champion", 0) == champion
    assert ask(tidied, "history", "--json")[0] == 0
    gone = {entry.to for entry in tidied.entries()} - there
    assert all(f"-> {version}" in out and out.count("(the version is gone)") == len(gone) for version in gone)
    code, out, err = ask(tidied, "rollback", "--why", "it was tidied")
    if before:
        assert code == 0 and f"champion is version {before}" in out and passed_over in out, err
        assert "passed over" in out or not passed_over
    else:
        assert code == 2 and "no champion before this one in the registry" in err
    other = min(there - {before}, default=0)
    if other:
        code, out, err = ask(tidied, "promote", str(other), "--why", "goes on")
        assert code == 0 and f"champion is version {other}" in out, err
        assert tidied.champion() == tidied.registry.aliases()["champion"] == other
    tidied.registry.follow("candidate")
    assert tidied.registry.aliases().get("candidate", 0) == max(there, default=0)


def test_what_is_no_entry_is_said_to_be_none(tidied):
    tidied.registry.client.create_model_version(LEDGER, "file:x")
    assert tidied.unreadable() == [5] and len(tidied.entries()) == 4
    code, out, err = ask(tidied, "history")
    assert code == 0 and "   5  is no entry: made or edited by hand in MLflow; it counts for nothing" in out, err
    assert tidied.move(1, "after it").sequence == 6 and tidied.champion() == 1


def test_a_version_that_is_deleted_while_it_becomes_champion_is_none(tidied, monkeypatch):
    point = Registry.point

    def too_late(registry: Registry, alias: str, number: int) -> None:
        if number == 5:
            delete(tidied, 5)
        point(registry, alias, number)

    monkeypatch.setattr(Registry, "point", too_late)
    tidied.move(5, "the newest")
    assert tidied.repair() == 0 and "champion" not in tidied.registry.aliases()
    assert ask(tidied, "rollback", "--why", "it is gone")[0] == 0 and tidied.champion() == 4


@pytest.mark.parametrize("for_good", [False, True])
def test_a_run_that_was_deleted_takes_no_night_with_it(tidied, for_good, tmp_path):
    """The night attaches its report to the run of its version."""
    run = delete_run(tidied, 4, for_good)
    (tmp_path / "report.html").write_text("report")
    tidied.registry.attach(run, tmp_path / "report.html", "report")
    assert (tidied.registry.run(run) is None) == for_good
    tidied.registry.describe(4, "what it is")
    assert tidied.registry.version_of("digest 4", "2026-03-04").number == 4
