"""`nightjar backfill` as a user sees it: days that run, that are cached, that fail, and what is told of them."""

import json
import signal
import sqlite3
import time

import pytest

TINY = """
world: {num_users: 60, num_items: 120, num_days: 8}
window: {train_days: 5, judge_days: 1, rank_days: 2}
als: {factors: 4, iterations: 1}
towers: {dim: 8, fit: {max_epochs: 1}}
ranker: {fit: {max_epochs: 1}}
evaluation: {max_ablation_users: 5, num_resamples: 100}
pipeline: {k: 5}
"""
DAYS = "2026-01-20", "2026-01-22"


def as_json(done):
    assert done.stdout.startswith(("{", "[")), done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def filled(make_home):
    """A home with three days, two of them side by side."""
    home = make_home()
    home.config.write_text(TINY)
    done = home.run("backfill", *DAYS, "--config", str(home.config), "--max-parallel", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    home.printed = done.stdout
    return home


def newest(home):
    return as_json(home.run("backfill", "list", "--json"))[0]


def test_the_id_and_the_way_to_resume_come_first(filled):
    first, second, *_ = filled.printed.splitlines()
    id_ = newest(filled)["id"]
    assert first == f"backfill {id_}" and second == f"resume:  nightjar backfill resume {id_}"


def test_every_day_is_a_release_of_its_own(filled):
    from tasks.registry import Registry

    versions = Registry(filled.path / "home").versions()
    assert sorted(v.tags["nightjar.date"] for v in versions) == ["2026-01-20", "2026-01-21", "2026-01-22"]
    assert {a: v.tags["nightjar.date"] for v in versions for a in v.aliases} == {"candidate": "2026-01-22"}


def test_days_side_by_side_make_what_nights_of_their_own_make(filled, make_home):
    alone = make_home()
    alone.config.write_text(TINY)
    done = alone.night("--date", "2026-01-22")
    assert done.returncode == 0, done.stderr
    theirs = filled.digests()
    assert alone.digests().items() <= theirs.items()


def test_status_tells_of_every_day_and_stage(filled):
    one = as_json(filled.run("backfill", "status", newest(filled)["id"], "--json"))
    assert one["state"] == "succeeded" and one["counts"] == {"succeeded": 3}
    for day in one["days"]:
        assert day["state"] == "succeeded" and day["attempts"] == 1 and day["version"] in (1, 2, 3)
        assert len(day["stages"]) == 18
        assert {s["state"] for s in day["stages"].values()} <= {"succeeded", "skipped"}
    shared = sum(d["stages"]["events"]["artifacts"] for d in one["days"])
    assert shared >= 8  # six days of the first window, one more for each of the others
    out = filled.run("backfill", "status", one["id"][:-2]).stdout
    assert "week of" in out and "20✓" in out and "3 succeeded" in out


def test_every_prefect_run_carries_the_backfill_and_the_day(filled):
    id_ = newest(filled)["id"]
    with sqlite3.connect(filled.path / "home/prefect/prefect.db") as database:
        rows = database.execute("select name, tags from flow_run").fetchall()
    tags = {name: set(json.loads(found)) for name, found in rows}
    assert tags["backfill 2026-01-20 to 2026-01-22"] == {f"backfill:{id_}"}
    for day in ("2026-01-20", "2026-01-21", "2026-01-22"):
        assert tags[f"nightly {day}"] == {f"backfill:{id_}", f"day:{day}"}


def test_a_dry_run_shows_what_is_cached_missing_and_stale_and_writes_nothing(filled):
    before = sorted(str(p) for p in (filled.path / "home/backfills").rglob("*"))
    out = filled.run("backfill", "2026-01-20", "2026-01-23", "--dry-run").stdout
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("2026")}
    assert "==================  cached" in lines["2026-01-22"]
    assert "run" in lines["2026-01-23"] and "nothing was made yet for 2026-01-23" in lines["2026-01-23"]
    assert "1 of 4 days would run" in out and "s from past runs" in out
    stale = as_json(filled.run("backfill", *DAYS, "--set", "als.factors=5", "--dry-run", "--json"))
    stages = {s["stage"]: s for s in stale["days"][0]["stages"]}
    assert stages["als"]["state"] == "stale" and "config.factors 4 -> 5" in stages["als"]["why"]
    assert stages["als"]["seconds"] > 0
    assert stages["towers"]["state"] == "cached"
    assert sorted(str(p) for p in (filled.path / "home/backfills").rglob("*")) == before


def test_only_the_days_asked_for_run(filled):
    done = filled.run(
        "backfill", *DAYS, "--set", "als.factors=5", "--rerun", "missing", "--stages", "als", "--exclude", "2026-01-21"
    )
    assert done.returncode == 0, done.stderr
    one = newest(filled)
    assert one["counts"] == {"stale": 2}
    done = filled.run("backfill", "2026-01-22", "2026-01-22", "--set", "als.factors=5", "--stages", "als")
    assert done.returncode == 0, done.stdout + done.stderr
    days = as_json(filled.run("backfill", "status", newest(filled)["id"], "--json"))["days"]
    assert [d["state"] for d in days] == ["succeeded"]
    assert {n for n, s in days[0]["stages"].items() if s["state"] == "succeeded"} == {"als"}
    assert "bundle" not in days[0]["stages"]


def test_a_day_that_can_have_no_night_is_left_out_with_the_reason(filled):
    done = filled.run("backfill", "2026-01-02", "2026-01-02", "--dry-run")
    assert "skipped" in done.stdout and "choose a later date" in " ".join(done.stdout.split())


def test_a_failing_day_is_tried_again_and_stops_those_after_it(filled):
    done = filled.run(
        "backfill",
        "2026-01-23",
        "2026-01-25",
        "--retries",
        "1",
        "--set",
        "index.min_recall=1",
        "--set",
        "index.type=ivf_pq",
    )
    assert done.returncode == 1
    assert "recall" in done.stderr and "nightjar backfill resume" in done.stderr
    assert "Traceback" not in done.stderr
    one = as_json(filled.run("backfill", "status", newest(filled)["id"], "--json"))
    states = {d["day"]: (d["state"], d["attempts"]) for d in one["days"]}
    assert states == {"2026-01-23": ("failed", 2), "2026-01-24": ("skipped", 0), "2026-01-25": ("skipped", 0)}
    assert one["days"][0]["stages"]["index"]["state"] == "failed"
    assert one["days"][1]["reason"] == "stopped, as 2026-01-23 failed"
    assert filled.run("backfill", "status", one["id"]).returncode == 1


def test_all_makes_everything_anew_once(filled, tmp_path):
    before, trace = filled.digests(), tmp_path / "trace"
    arguments = ["--config", str(filled.config), "--rerun", "all", "--stages", "als"]
    done = filled.run("backfill", *DAYS, *arguments, NIGHTJAR_TRACE=str(trace))
    assert done.returncode == 0, done.stdout + done.stderr
    made = [line.split()[2] for line in trace.read_text().splitlines() if " published " in line]
    assert len(made) == len(set(made))
    watches = [m for m in made if m.startswith("watches/")]
    assert len(watches) == 8  # three windows of six days have eight between them
    assert filled.digests() == before


def test_cancelling_one_that_nobody_runs_leaves_out_its_days(filled):
    from flows.backfilling.request import BackfillRequest
    from flows.backfilling.state import Backfill

    home = filled.path / "home"
    last = Backfill.create(
        home,
        BackfillRequest(start="2026-02-01", end="2026-02-02", config={}, config_name="x", lake=str(home / "lake")),
    )
    out = filled.run("backfill", "cancel", last.id).stdout
    assert f"cancelled {last.id}: 2 skipped" in out
    assert as_json(filled.run("backfill", "status", last.id, "--json"))["state"] == "cancelled"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["2026-01-20"], "Missing argument"),
        (["2026-01-20", "2026-02-30"], "END 2026-02-30: no such day"),
        (["2026-01-20", "2026-01-19"], "is before"),
        (["2026-01-20", "2026-01-21", "--stages", "alss"], "no stage 'alss'"),
        (["2026-01-20", "2026-01-21", "--rerun", "some"], "choose from"),
        (["status", "nothing"], "no such backfill"),
        (["resume", "nothing"], "no such backfill"),
    ],
)
def test_mistakes_are_told_in_one_message(filled, arguments, told):
    done = filled.run("backfill", *arguments)
    assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr


def test_only_promote_makes_a_champion_and_says_so_in_the_ledger(filled):
    from tasks.ledger import Ledger
    from tasks.registry import Registry

    done = filled.run("backfill", "2026-01-21", "2026-01-21", "--promote")
    assert done.returncode == 0, done.stderr
    registry = Registry(filled.path / "home")
    (champion,) = [v for v in registry.versions() if "champion" in v.aliases]
    assert champion.tags["nightjar.date"] == "2026-01-21"
    (entry,) = Ledger(registry).entries()
    assert (entry.before, entry.to) == (0, champion.number) and newest(filled)["id"] in entry.why


def test_two_at_once_over_the_same_days_do_the_work_once(make_home, tmp_path):
    home, trace = make_home(), tmp_path / "trace"
    home.config.write_text(TINY)
    # Two releases at once are two nights' matter (test_night.py).
    arguments = ["backfill", "2026-01-20", "2026-01-21", "--config", str(home.config), "--stages", "als,towers"]
    both = [home.command(*arguments, NIGHTJAR_TRACE=str(trace)) for _ in range(2)]
    ends = [one.wait(500) for one in both]
    assert [e.returncode for e in ends] == [0, 0], "\n".join(e.stdout + e.stderr for e in ends)
    computed = [line.split()[2] for line in trace.read_text().splitlines() if " computing " in line]
    assert len(computed) == len(set(computed))
    assert {one["state"] for one in as_json(home.run("backfill", "list", "--json"))} == {"succeeded"}


def test_cancelling_ends_what_runs_and_a_resume_finishes_the_rest(make_home, tmp_path):
    home, trace = make_home(), tmp_path / "trace"
    home.config.write_text(TINY)
    stages = "--stages", "als,embeddings"
    running = home.command(
        "backfill", "2026-01-20", "2026-01-22", "--config", str(home.config), *stages, NIGHTJAR_TRACE=str(trace)
    )
    until = time.monotonic() + 300
    while not list((home.path / "home/lake").glob("towers/*/*")) and time.monotonic() < until:
        time.sleep(0.2)
    id_ = newest(home)["id"]
    assert f"cancelled {id_}" in home.run("backfill", "cancel", id_).stdout
    done = running.wait(600)
    assert done.returncode == 128 + signal.SIGTERM and "nightjar backfill resume" in done.stdout
    one = as_json(home.run("backfill", "status", id_, "--json"))
    assert one["state"] == "cancelled" and one["counts"] == {"interrupted": 1, "skipped": 2}
    done = home.run("backfill", "resume", id_, NIGHTJAR_TRACE=str(trace))
    assert done.returncode == 0, done.stdout + done.stderr
    assert newest(home)["counts"] == {"succeeded": 3}
    published = [line.split()[2] for line in trace.read_text().splitlines() if " published " in line]
    assert len(published) == len(set(published))
    assert home.left_running() == []
