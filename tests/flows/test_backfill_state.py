"""The state of a backfill on disk, and what may be asked of one; nothing runs."""

import json
import os
import subprocess
import sys

import pytest

from expectations.errors import UserError
from expectations.records import checked
from flows.backfilling.request import BackfillRequest
from flows.backfilling.state import Backfill, StageState, all_backfills, counts, find_backfill
from tasks.machine.processes import claim_ownership


def request(**changes) -> BackfillRequest:
    asked = {"start": "2026-02-27", "end": "2026-03-02", "config": {}, "config_name": "x", "lake": "/nowhere"}
    return BackfillRequest(**{**asked, **changes})


def test_days_are_inclusive_in_the_order_asked_for():
    assert request().days == ("2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02")
    assert request(order="backward", exclude=("2026-02-28",)).days == ("2026-03-02", "2026-03-01", "2026-02-27")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"end": "2026-02-26"}, "is before"),
        ({"exclude": ("2026-04-01",)}, "not between"),
        ({"rerun": ("some",)}, "choose from missing, failed, stale, all"),
        ({"rerun": ()}, "choose from"),
        ({"start": "2026-03-02", "exclude": ("2026-03-02",)}, "every day of the range is excluded"),
        ({"promote": True, "stages": ("als",)}, "needs whole nights"),
    ],
)
def test_what_cannot_be_asked_for(changes, told):
    with pytest.raises(UserError, match=told):
        request(**changes)


def test_a_request_survives_json():
    asked = request(exclude=("2026-02-28",), stages=("als",), rerun=("all",), max_parallel=3, on="pool")
    assert checked(BackfillRequest, json.loads(json.dumps(asked.to_dict()))) == asked


def test_what_a_dead_process_called_running_is_interrupted(tmp_path):
    one = Backfill.create(tmp_path, request())
    code = "from tasks.machine.processes import claim_ownership; print(claim_ownership())"
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    for day, owner in (("2026-02-27", dead), ("2026-02-28", claim_ownership())):
        state = one.day(day)
        state.state, state.owner = "running", owner
        state.stages = {"events": StageState("succeeded"), "als": StageState("running"), "towers": StageState("queued")}
        one.save(state)
    os.environ.pop("NIGHTJAR_OWNER")
    dead_day, live_day = one.day("2026-02-27"), one.day("2026-02-28")
    assert dead_day.state == "interrupted"
    stages = {name: s.state for name, s in dead_day.stages.items()}
    assert stages == {"events": "succeeded", "als": "interrupted", "towers": "planned"}
    assert live_day.state == "running"
    assert one.state(one.days()) == "interrupted"


def test_one_process_drives_it(tmp_path):
    one = Backfill.create(tmp_path, request())
    assert not one.is_driven
    with one.driven():
        assert one.is_driven
        assert one.state(one.days()) == "running"
        with pytest.raises(UserError, match="is running already"), one.driven():
            pass
    assert not one.is_driven


def test_a_queue_that_nobody_works_on_is_a_plan(tmp_path):
    one = Backfill.create(tmp_path, request())
    with one.driven():
        state = one.day("2026-03-01")
        state.state = "queued"
        one.save(state)
        assert counts(one.days()) == {"planned": 3, "queued": 1}
    assert counts(one.days()) == {"planned": 4}


def test_backfills_are_listed_newest_first_and_found_by_the_beginning_of_their_id(tmp_path):
    made = [Backfill.create(tmp_path, request()) for _ in range(3)]
    assert [b.id for b in all_backfills(tmp_path)] == [b.id for b in reversed(made)]
    assert find_backfill(tmp_path, made[1].id) == made[1]
    with pytest.raises(UserError, match="no such backfill"):
        find_backfill(tmp_path, "nothing")
    with pytest.raises(UserError, match="several begin so"):
        find_backfill(tmp_path, made[0].id[:4])


def test_a_damaged_backfill_or_day_ends_no_list(tmp_path, capsys):
    lost, kept = (Backfill.create(tmp_path, request()) for _ in range(2))
    state = kept.day("2026-02-28")
    state.state = "succeeded"
    for day in ("2026-02-27", "2026-02-28"):
        state.day = day
        kept.save(state)
    (lost.folder / "backfill.json").write_text("{")
    (kept.folder / "days" / "2026-02-27.json").write_text("")
    assert all_backfills(tmp_path) == [kept]
    assert [d.state for d in kept.days()] == ["planned", "succeeded", "planned", "planned"]
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and lost.id in told[0] and f"nightjar backfill resume {kept.id}" in told[1]
    assert (lost.folder / "backfill.json.damaged").read_text() == "{"
