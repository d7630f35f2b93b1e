"""What is told beside the plays, through the lake: keys follow the content of each day, and the ranker reads it."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from expectations.errors import Failure
from models.ranking.config import RankerConfig
from models.ranking.labels import IMPRESSION_COLUMNS, WATCH_COLUMNS, WatchLog, label_impressions
from tasks.engine.code_digest import reached
from tasks.sources.config import ActionsFile, ImpressionsFile, SearchesFile, SourceConfig
from tasks.sources.scan import scan
from tasks.stages.ingestion import catalogue_step
from tasks.stages.other_logs import STAGES, beside_steps, events, events_step

TODAY = "2026-01-01"
DAYS = ("2020-05-01", "2020-05-02", "2020-05-03")


def write(folder: Path, clicks: str = "10 01", late: str = "") -> SourceConfig:
    """Three days; on the second what was clicked is as told, and `late` is searched for."""
    folder.mkdir(exist_ok=True)
    lists, typed = [], []
    for day in DAYS:
        for n, marks in enumerate((clicks if day == DAYS[1] else "10 01").split()):
            told = " ".join(f"i{n + k}-{mark}" for k, mark in enumerate(marks))
            lists.append(f"u{n},{day}T{10 + n}:00:00,{told}\n")
        typed.append(f"u0,{day}T09:00:00,a film\n")
    if late:
        typed.append(f"u1,{DAYS[1]}T09:30:00,{late}\n")
    (folder / "lists.csv").write_text("user,time,shown\n" + "".join(lists))
    (folder / "searches.csv").write_text("user,time,query\n" + "".join(typed))
    (folder / "actions.csv").write_text(f"user,item,time,action\nu0,i0,{DAYS[0]}T11:00:00,like\n")
    return SourceConfig(
        kind="table",
        impressions=ImpressionsFile(path=str(folder / "lists.csv"), shown="shown", mark="-"),
        actions=ActionsFile(path="actions.csv"),
        searches=SearchesFile(path="searches.csv"),
    )


@pytest.fixture
def ingest(night):
    """Bring a source into the lake; returns its steps by name and how many of each ran."""

    def run(config: SourceConfig):
        log = scan(config, night.home, TODAY)
        known = catalogue_step(log, [DAYS[-1]])
        ids = {"user_id": known.made.users, "item_id": known.made.items}
        steps: list[Any] = [known, events_step(log, DAYS, ids), *beside_steps(log, DAYS, ids)]
        return {step.name: step for step in steps}, {step.name: night.execute(step).ran for step in steps}

    return run


def tables(night, step, dataset: str) -> list[pa.Table]:
    return [night.artifact(ref).table() for ref in step.refs(dataset)]


def test_all_arrive_a_day_each(ingest, night, tmp_path):
    steps, _ = ingest(write(tmp_path / "source"))
    rows = {name: [t.num_rows for t in tables(night, steps[name], name)] for name in STAGES}
    assert rows == {"impressions": [4, 4, 4], "actions": [1, 0, 0], "searches": [1, 1, 1]}
    assert [t.num_rows for t in tables(night, steps["events"], "watches")] == [2, 2, 2]


def test_the_same_again_is_cached(ingest, tmp_path):
    ingest(write(tmp_path / "source"))
    shutil.copytree(tmp_path / "source", tmp_path / "elsewhere")
    assert set(ingest(write(tmp_path / "elsewhere"))[1].values()) == {0}


def test_each_reruns_the_days_of_which_it_tells_something_else(ingest, tmp_path):
    ingest(write(tmp_path / "source"))
    assert ingest(write(tmp_path / "source", late="late words"))[1] == {
        "catalogue": 0, "events": 0, "impressions": 0, "actions": 0, "searches": 1,
    }  # fmt: skip
    ran = ingest(write(tmp_path / "source", clicks="11 01"))[1]
    assert (ran["events"], ran["impressions"], ran["actions"]) == (1, 0, 0), "what was shown is the same"


def test_the_ranker_sees_what_was_clicked(ingest, night, tmp_path):
    """Nothing tells it that the impressions are those of a log."""
    steps, _ = ingest(write(tmp_path / "source", clicks="00 11"))
    shown = pa.concat_tables(tables(night, steps["impressions"], "impressions")).select(IMPRESSION_COLUMNS)
    watched = pa.concat_tables(tables(night, steps["events"], "watches")).select(WATCH_COLUMNS)
    config = RankerConfig()
    rows = label_impressions(shown, WatchLog(watched, config), config)
    assert rows.click.tolist() == [1, 0, 0, 1, 0, 0, 1, 1, 1, 0, 0, 1]
    assert rows.position.tolist() == [1, 2] * 6 and np.all(rows.weight == 1)


def test_scratch_deleted_between_plan_and_run(night, tmp_path):
    log = scan(write(tmp_path / "source"), night.home, TODAY)
    planned = [events_step(log, DAYS, {}), *beside_steps(log, DAYS, {})]
    shutil.rmtree(night.home / "scratch")
    for step in planned:
        with pytest.raises(Failure, match="the parsed source is gone"):
            night.execute(step)
    scan(write(tmp_path / "source"), night.home, TODAY)
    assert [night.execute(step).ran for step in planned] == [3, 3, 3, 3]


def test_stages_are_named_after_what_they_make():
    assert {name: (stage.name, stage.produces) for name, stage in STAGES.items()} == {n: (n, (n,)) for n in STAGES}
    assert (events.name, events.produces) == ("events", ("watches",))


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_reaches_the_code_of_its_own_log_alone(name):
    """So that an edit of what reads impressions makes no searches again."""
    files = {f"tasks/sources/{one}.py" for one in STAGES} & reached("tasks.stages.other_logs", name).digests.keys()
    assert files == {f"tasks/sources/{name}.py"}
