"""What a run's record says, and the command that makes the same night again."""

import shlex
from pathlib import Path

from flows.config import load_config
from flows.night.records import RunRecord, all_runs
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
