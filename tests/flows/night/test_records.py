"""What a run's record says, and the command that makes the same night again."""

import shlex
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.config import load_config
from flows.night.records import RunRecord, all_runs, began, new_id
from tasks.engine.stage import plain


def record(home, **values) -> RunRecord:
    given = {"config": "a night.yaml", "overrides": ["pipeline.k=5"], "lake": str(home / "lake")} | values
    return RunRecord(id="20260101T000000-aaaa", date="2026-01-30", **given)


def test_the_command_names_config_day_and_settings(tmp_path):
    made = record(tmp_path).command(tmp_path)
    assert shlex.split(made) == [
        "nightjar", "run", "a night.yaml", "--date", "2026-01-30", "--set", "pipeline.k=5",
    ]  # fmt: skip


def test_another_lake_and_changes_come_along(tmp_path):
    made = record(tmp_path, lake="s3://bucket/lake").command(tmp_path, ["pipeline.k=5", "als.factors=8"])
    assert made.endswith("--set pipeline.k=5 --set als.factors=8 --lake s3://bucket/lake")


def test_a_run_without_a_config_file_leaves_one(tmp_path):
    """As those of the schedule are; the file says the very same night."""
    settings = load_config(
        None, ["pipeline.k=7", "pipeline.sources.ease.num_candidates=30", "models.ease.regularisation=9"]
    )
    one = record(tmp_path, config="", overrides=[], settings=plain(settings))
    one.save(tmp_path)
    program, run, config, *rest = shlex.split(one.command(tmp_path))
    assert (program, run, rest) == ("nightjar", "run", ["--date", "2026-01-30"])
    assert load_config(Path(config)) == settings
    assert all_runs(tmp_path) == [one]


@pytest.fixture(params=["Pacific/Kiritimati", "Etc/GMT+12", "Europe/Berlin", "UTC"])
def zone(request, monkeypatch):
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_ids_are_utc_wherever_the_machine_is(zone):
    before, made, after = int(time.time()), new_id(), time.time()
    assert before <= began(made) <= after
    # An hour that Berlin's clocks have twice, and one that they never have.
    for text in ("20261025T023000", "20260329T023000"):
        told = datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        assert began(f"{text}-abcd") == told.timestamp()


def test_runs_of_two_zones_are_in_the_order_in_which_they_began(tmp_path, monkeypatch):
    made = []
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12", "UTC"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        began_at = time.time()
        while int(time.time()) == int(began_at):  # ids of one second are in no order
            time.sleep(0.05)
        made.append(RunRecord(new_id(), "", [], "lake", "2026-01-30", state="succeeded"))
        made[-1].save(tmp_path)
    monkeypatch.undo()
    time.tzset()
    assert all_runs(tmp_path) == made


@pytest.mark.parametrize(("folder", "id_"), [("20260101T000000-aaaa", "20260101T000000-bbbb"), ("a", "a"), ("b", "..")])
def test_a_record_of_another_folder_is_no_record_of_this_one(tmp_path, folder, id_):
    """`gc` deletes the folder that the id names."""
    one = RunRecord(id_, "", [], "lake", "2026-01-30")
    one.save(tmp_path)
    (tmp_path / "runs" / id_ / "run.json").replace(tmp_path / "kept")
    (tmp_path / "runs" / folder).mkdir(exist_ok=True)
    (tmp_path / "kept").replace(tmp_path / "runs" / folder / "run.json")
    assert all_runs(tmp_path) == [] and (tmp_path / "runs" / folder / "run.json.damaged").is_file()
