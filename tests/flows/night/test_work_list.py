"""What a backfill makes of its days before anything runs."""

import pytest

from expectations.errors import UserError
from flows.backfilling.request import BackfillRequest
from flows.backfilling.work import WorkList
from flows.nightly import plan_request
from tasks.engine.lake import Lake


@pytest.fixture
def work(tmp_path):
    """The list of four days, of which only the first has a positive on its judged days."""
    lines = [
        f"u{h % 5},i{h % 7},2024-03-{d:02d}T{h:02d}:00,{5 if d < 8 else 1}" for d in range(1, 12) for h in range(24)
    ]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,time,r", *lines]))
    source = {"kind": "table", "path": str(tmp_path / "log.csv"), "columns": {"rating": "r"}, "positive_min_rating": 4}
    config = {"source": source, "window": {"train_days": "all", "judge_days": 1, "rank_days": 2}}

    def asked(*stages):
        lake = str(tmp_path / "lake")
        request = BackfillRequest(
            start="2024-03-07", end="2024-03-10", config=config, config_name="x", lake=lake, stages=stages
        )
        return list(WorkList(request, tmp_path, Lake(lake, tmp_path / "scratch"), [], plan_request).days())

    return asked


def test_days_on_which_nothing_can_be_judged_are_refused_where_something_is_judged(work):
    whole = work()
    assert [bool(day.plan) for day in whole] == [True, False, False, False]
    assert all("nothing can be judged" in day.refused for day in whole[1:])


def test_days_are_planned_for_the_stages_that_are_asked_for(work):
    for day in work("popularity"):
        assert not day.refused
        assert day.plan.steps[-1].name == day.stages[-1].stage == "popularity"


def test_a_stage_that_no_night_has_is_told_once_and_for_all(work):
    with pytest.raises(UserError, match="no stage 'alss'"):
        work("alss")
