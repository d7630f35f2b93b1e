"""`nightjar backfill` as a user sees it: days that run, that are cached, that fail, and what is told of them."""

import json
import signal
import sqlite3
import time

import pytest

from tests.homes import COUNTED, DAYS, LEARNT

pytestmark = pytest.mark.slow

EVERY = "2026-01-12", "2026-01-13", "2026-01-14"


def as_json(done):
    assert done.stdout.startswith(("{", "[")), done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def filled(golden_days):
    """A home with three days, made two at a time; it is only read."""
    return golden_days


@pytest.fixture(scope="module")
def home(continued, golden_days, prefect):
    """A home of its own whose lake has those days, but for the releases."""
    return continued(of=golden_days, prefect=prefect)


def newest(home):
    return as_json(home.ask("backfill", "list", "--json"))[0]


def test_the_id_and_the_way_to_resume_come_first(filled):
    first, second, *_ = filled.printed.read_text().splitlines()
    id_ = newest(filled)["id"]
    assert first == f"backfill {id_}" and second == f"resume:  nightjar backfill resume {id_}"


def test_every_day_is_a_release_of_its_own(filled):
    from tasks.registry.registry import Registry

    versions = Registry(filled.path / "home").versions()
    assert sorted(v.tags["nightjar.date"] for v in versions) == list(EVERY)
    assert {a: v.tags["nightjar.date"] for v in versions for a in v.aliases} == {"candidate": "2026-01-14"}


def test_days_side_by_side_make_what_a_night_of_its_own_makes(filled, golden):
    assert golden.digests().items() <= filled.digests().items()


def test_status_tells_of_every_day_and_stage(filled):
    one = as_json(filled.ask("backfill", "status", newest(filled)["id"], "--json"))
    assert one["state"] == "succeeded" and one["counts"] == {"succeeded": 3}
    for day in one["days"]:
        assert day["state"] == "succeeded" and day["attempts"] == 1 and day["version"] in (1, 2, 3)
        assert len(day["stages"]) == 18
        assert {s["state"] for s in day["stages"].values()} <= {"succeeded", "skipped"}
    shared = sum(d["stages"]["events"]["artifacts"] for d in one["days"])
    assert shared >= 14  # twelve days of the first window, one more for each of the others
    out = filled.ask("backfill", "status", one["id"][:-2]).stdout
    assert "week of" in out and "12✓" in out and "3 succeeded" in out


def test_every_prefect_run_carries_the_backfill_and_the_day(filled):
    id_ = newest(filled)["id"]
    with sqlite3.connect(filled.path / "home/prefect/prefect.db") as database:
        rows = database.execute("select name, tags from flow_run").fetchall()
    tags = {name: set(json.loads(found)) for name, found in rows}
    assert tags["backfill {} to {}".format(*DAYS)] == {f"backfill:{id_}"}
    for day in EVERY:
        assert tags[f"nightly {day}"] == {f"backfill:{id_}", f"day:{day}"}


def test_a_dry_run_shows_what_is_cached_missing_and_stale_and_writes_nothing(filled):
    before = sorted(str(p) for p in (filled.path / "home/backfills").rglob("*"))
    out = filled.ask("backfill", "2026-01-12", "2026-01-15", "--dry-run").stdout
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("2026")}
    assert "==================  cached" in lines["2026-01-14"]
    assert "run" in lines["2026-01-15"] and "nothing was made yet for 2026-01-15" in lines["2026-01-15"]
    assert "1 of 4 days would run" in out and "s from past runs" in out
    stale = as_json(filled.ask("backfill", *DAYS, "--set", "als.factors=5", "--dry-run", "--json"))
    stages = {s["stage"]: s for s in stale["days"][0]["stages"]}
    assert stages["als"]["state"] == "stale" and "config.factors 8 -> 5" in stages["als"]["why"]
    assert stages["als"]["seconds"] > 0
    assert stages["towers"]["state"] == "cached"
    assert sorted(str(p) for p in (filled.path / "home/backfills").rglob("*")) == before


def test_only_the_days_asked_for_run(home):
    changed = ("--config", str(home.config), "--set", "als.factors=5", "--stages", "als")
    done = home.run("backfill", *DAYS, *changed, "--rerun", "missing", "--exclude", "2026-01-13")
    assert done.returncode == 0, done.stderr
    one = newest(home)
    assert one["counts"] == {"stale": 2}
    done = home.run("backfill", "2026-01-14", "2026-01-14", *changed)
    assert done.returncode == 0, done.stdout + done.stderr
    days = as_json(home.ask("backfill", "status", newest(home)["id"], "--json"))["days"]
    assert [d["state"] for d in days] == ["succeeded"]
    assert {n for n, s in days[0]["stages"].items() if s["state"] == "succeeded"} == {"als"}
    assert "bundle" not in days[0]["stages"]


def test_a_day_that_can_have_no_night_is_left_out_with_the_reason(filled):
    done = filled.ask("backfill", "2026-01-02", "2026-01-02", "--dry-run")
    assert "skipped" in done.stdout and "choose a later date" in " ".join(done.stdout.split())


def test_a_failing_day_is_tried_again_and_stops_those_after_it(home):
    failing = ("--retries", "1", "--set", "index.min_recall=1", "--set", "index.type=ivf_pq")
    done = home.run("backfill", *DAYS, "--config", str(home.config), *failing)
    assert done.returncode == 1
    assert "recall" in done.stderr and "nightjar backfill resume" in done.stderr
    assert "Traceback" not in done.stderr
    one = as_json(home.ask("backfill", "status", newest(home)["id"], "--json"))
    states = {d["day"]: (d["state"], d["attempts"]) for d in one["days"]}
    assert states == {"2026-01-12": ("failed", 2), "2026-01-13": ("skipped", 0), "2026-01-14": ("skipped", 0)}
    assert one["days"][0]["stages"]["index"]["state"] == "failed"
    assert one["days"][1]["reason"] == "stopped, as 2026-01-12 failed"
    assert home.ask("backfill", "status", one["id"]).returncode == 1


def test_all_makes_everything_anew_once(home, tmp_path):
    before, trace = home.digests(), tmp_path / "trace"
    arguments = ["--config", str(home.config), "--rerun", "all", "--stages", "popularity"]
    done = home.run("backfill", "2026-01-12", "2026-01-13", *arguments, NIGHTJAR_TRACE=str(trace))
    assert done.returncode == 0, done.stdout + done.stderr
    made = [line.split()[2] for line in trace.read_text().splitlines() if " published " in line]
    assert len(made) == len(set(made))
    watches = [m for m in made if m.startswith("watches/")]
    assert len(watches) == 13  # two windows of twelve days have thirteen between them
    assert home.digests() == before


def test_cancelling_one_that_nobody_runs_leaves_out_its_days(home):
    from flows.backfilling.request import BackfillRequest
    from flows.backfilling.state import Backfill

    last = Backfill.create(
        home.path / "home",
        BackfillRequest(
            start="2026-02-01", end="2026-02-02", config={}, config_name="x", lake=str(home.path / "home/lake")
        ),
    )
    out = home.ask("backfill", "cancel", last.id).stdout
    assert f"cancelled {last.id}: 2 skipped" in out
    assert as_json(home.ask("backfill", "status", last.id, "--json"))["state"] == "cancelled"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["2026-01-20"], "Missing argument"),
        (["2026-01-20", "2026-02-30"], "END 2026-02-30: no such day"),
        (["2026-01-20", "2026-01-19"], "is before"),
        (["2026-01-20", "2026-01-21", "--rerun", "some"], "choose from"),
        (["status", "nothing"], "no such backfill"),
        (["resume", "nothing"], "no such backfill"),
    ],
)
def test_mistakes_are_told_in_one_message(make_home, arguments, told):
    done = make_home().ask("backfill", *arguments)
    assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr


def test_an_unknown_stage_is_told_and_nothing_is_written_down(make_home):
    home = make_home()
    done = home.run("backfill", "2026-01-20", "2026-01-21", "--stages", "alss")
    assert done.returncode == 2 and "no stage 'alss'" in done.stderr and "Traceback" not in done.stderr
    assert "no backfill yet" in home.ask("backfill", "list").stdout


def test_only_promote_makes_a_champion_and_says_so_in_the_ledger(home):
    from tasks.registry.ledger import Ledger
    from tasks.registry.registry import Registry

    done = home.run("backfill", "2026-01-13", "2026-01-13", "--config", str(home.config), "--promote")
    assert done.returncode == 0, done.stderr
    registry = Registry(home.path / "home")
    (champion,) = [v for v in registry.versions() if "champion" in v.aliases]
    assert champion.tags["nightjar.date"] == "2026-01-13"
    (entry,) = Ledger(registry).entries()
    assert (entry.before, entry.to) == (0, champion.number) and newest(home)["id"] in entry.why


def test_two_at_once_over_the_same_days_do_the_work_once(continued, golden_days, prefect, tmp_path):
    home, trace = continued(LEARNT, of=golden_days, prefect=prefect), tmp_path / "trace"
    # Two releases at once are two nights' matter (test_night.py).
    arguments = ["backfill", "2026-01-13", "2026-01-14", "--config", str(home.config), "--stages", "towers"]
    both = [home.command(*arguments, NIGHTJAR_TRACE=str(trace)) for _ in range(2)]
    ends = [one.wait(500) for one in both]
    assert [e.returncode for e in ends] == [0, 0], "\n".join(e.stdout + e.stderr for e in ends)
    computed = [line.split()[2] for line in trace.read_text().splitlines() if " computing " in line]
    assert len(computed) == len(set(computed)) and sum(c.startswith("towers/") for c in computed) == 2
    assert {one["state"] for one in as_json(home.ask("backfill", "list", "--json"))} == {"succeeded"}


def test_cancelling_ends_what_runs_and_a_resume_finishes_the_rest(continued, golden_days, prefect, tmp_path):
    home, trace = continued(COUNTED, of=golden_days, prefect=prefect), tmp_path / "trace"
    arguments = ("2026-01-13", "2026-01-14", "--config", str(home.config), "--stages", "als,towers")
    running = home.command("backfill", *arguments, NIGHTJAR_TRACE=str(trace))
    until = time.monotonic() + 300
    while not (trace.exists() and " computing interactions/" in trace.read_text()) and time.monotonic() < until:
        time.sleep(0.1)
    id_ = newest(home)["id"]  # Spark is still to start: the first day is far from its end
    assert f"cancelled {id_}" in home.run("backfill", "cancel", id_).stdout
    done = running.wait(600)
    assert done.returncode == 128 + signal.SIGTERM and "nightjar backfill resume" in done.stdout
    one = as_json(home.ask("backfill", "status", id_, "--json"))
    assert one["state"] == "cancelled" and one["counts"] == {"interrupted": 1, "skipped": 1}
    done = home.run("backfill", "resume", id_, NIGHTJAR_TRACE=str(trace))
    assert done.returncode == 0, done.stdout + done.stderr
    assert newest(home)["counts"] == {"succeeded": 2}
    published = [line.split()[2] for line in trace.read_text().splitlines() if " published " in line]
    assert len(published) == len(set(published))
    assert home.left_running() == []
