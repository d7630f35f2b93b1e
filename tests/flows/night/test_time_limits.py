"""Nights and stages that take too long are ended as failed, with all that they started, and the next one goes on."""

import json
import signal

import psutil
import pytest

from expectations.locks import lock
from flows.backfilling.request import BackfillRequest
from flows.backfilling.state import Backfill, DayState, StageState
from flows.grid.state import Sweep, find_sweep
from flows.night.records import RunRecord, all_runs
from flows.overdue import write_down
from flows.timekeeper import State
from tasks.machine.processes import owner_tag

STAGE = (
    "release of the night of 2026-01-12 took longer than 2 s, which is all that resources.stage_hours (0.0005) allows"
)


def _assert_ended(home, done, says):
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert says in line and "Traceback" not in done.stderr
    record = home.record()
    assert (record["state"], record["error"]) == ("failed", line.removeprefix("error: "))
    assert home.left_running() == []
    status = json.loads(home.ask("status", "--json").stdout)["last_night"]
    assert (status["state"], says in status["error"]) == ("failed", True)


@pytest.mark.slow
def test_a_stage_that_hangs_with_pythons_lock_ends_its_night_and_the_next_one_goes_on(continued):
    home = continued()
    done = home.night("--set", "resources.stage_hours=0.0005", NIGHTJAR_HANG="release:begin")
    assert done.returncode == -signal.SIGKILL
    _assert_ended(home, done, STAGE)
    done = home.night()
    assert done.returncode == 0 and {"release", "report"} <= home.ran(), done.stderr


@pytest.mark.slow
def test_a_night_that_waits_for_ever_is_ended_with_an_exit_code_of_its_own(continued, golden, prefect):
    """Somebody else claims what it is about to make, and never makes it."""
    home = continued(prefect=prefect)
    (key,) = (golden.path / "home/lake/release").glob("*/*")
    (home.path / "home/lake/.locks").mkdir(exist_ok=True)
    with lock(home.path / "home/lake/.locks" / key.name):
        done = home.night("--set", "resources.night_hours=0.005")
    assert done.returncode == 1
    _assert_ended(home, done, "the night of 2026-01-12 took longer than 18 s, which is all that resources.night_hours")


@pytest.mark.slow
def test_a_day_of_a_backfill_that_hangs_has_failed_and_those_after_it_are_open(continued, golden_days, prefect):
    home = continued(of=golden_days, prefect=prefect)
    options = ("--config", str(home.config), "--set", "resources.stage_hours=0.0005")
    done = home.run("backfill", "2026-01-12", "2026-01-14", *options, NIGHTJAR_HANG="release:begin")
    _assert_ended(home, done, STAGE)
    (one,) = json.loads(home.ask("backfill", "list", "--json").stdout)
    shown = home.ask("backfill", "status", one["id"], "--json")
    days = json.loads(shown.stdout)["days"]
    assert shown.returncode == 1 and [d["state"] for d in days] == ["failed", "planned", "planned"]
    assert STAGE in days[0]["reason"] and days[0]["stages"]["release"]["state"] == "failed"


def _record(home, id_, owner, **values):
    record = RunRecord(**{"id": id_, "config": "", "overrides": [], "lake": "", "date": "2026-01-12", "owner": owner,
                          **values})  # fmt: skip
    record.save(home)


def test_what_ran_beside_it_was_interrupted_and_what_another_process_runs_is_left_alone(tmp_path):
    mine, other = owner_tag(), f"1.{int(psutil.Process(1).create_time())}"
    _record(tmp_path, "20260101T000000-aaaa", mine)
    _record(tmp_path, "20260101T000001-bbbb", mine)
    _record(tmp_path, "20260101T000002-cccc", other)
    _record(tmp_path, "20260101T000003-dddd", mine, state="succeeded")
    one = Backfill.create(
        tmp_path, BackfillRequest(start="2026-01-12", end="2026-01-14", config={}, config_name="", lake="")
    )
    runs = {"2026-01-12": "20260101T000000-aaaa", "2026-01-13": "20260101T000001-bbbb"}
    for day, run in runs.items():
        one.save(DayState(day, "running", owner=mine, run=run, stages={"als": StageState("running")}))
    one.save(DayState("2026-01-14", "running", owner=other))
    sweeps = [Sweep(tmp_path, f"20260101T00000{n}-eeee", "", {}, owner) for n, owner in enumerate((mine, other))]
    for sweep in sweeps:
        sweep.folder.mkdir(parents=True)
        sweep.save()
    write_down(tmp_path, mine, "20260101T000000-aaaa", "als", "it took long")
    assert [r.state for r in all_runs(tmp_path)] == ["failed", "interrupted", "running", "succeeded"]
    assert [d.state for d in one.days()] == ["failed", "interrupted", "running"]
    assert [d.stages["als"].state for d in one.days()[:2]] == ["failed", "interrupted"]
    assert one.day("2026-01-12").reason == "it took long" and "it took long" in one.day("2026-01-13").reason
    assert [find_sweep(tmp_path, s.id).state for s in sweeps] == ["failed", "running"]


def test_a_night_tells_the_stages_that_it_was_at_and_a_stage_comes_before_its_night():
    state = State()
    state.hear(b'{"begin": "n", "until": 0, "run": "r", "stage": null, "words": "the night took long."}')
    state.hear(b'{"begin": "a", "until": null, "run": "r", "stage": "als", "words": ""}')
    state.hear(b'{"begin": "b", "until": null, "run": "another", "stage": "towers", "words": ""}')
    night = state.overdue()
    assert night and state.sentence(night).startswith("the night took long. It was at als. What was published stands")
    state.hear(b'{"begin": "c", "until": 0, "run": "r", "stage": "index", "words": "index took long."}')
    late = state.overdue()
    assert late and state.sentence(late).startswith("index took long. What was published stands")
    for key in "nc":
        state.hear(b'{"end": "%s"}' % key.encode())
    assert state.overdue() is None and state.next_end is None
