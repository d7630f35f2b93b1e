"""Configs: what is wrong is named in full, with what is allowed, before anything runs."""

from datetime import date
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from expectations.errors import UserError
from flows.config import NightlyConfig, WindowConfig, calendar, load_config
from flows.reference import PAGE, reference
from tasks.engine.stage import plain


def test_the_empty_config_is_the_default_config(tmp_path):
    (tmp_path / "c.yaml").write_text("")
    assert load_config(tmp_path / "c.yaml") == NightlyConfig() == load_config(None)


def test_sections_and_overrides(tmp_path):
    (tmp_path / "c.yaml").write_text("als: {factors: 8}\nwindow: {train_days: all}\n")
    config = load_config(tmp_path / "c.yaml", ["als.factors=16", "pipeline.order.series_cap=3", "date=2026-03-01"])
    assert (config.als.factors, config.window.train_days, config.pipeline.order.series_cap) == (16, "all", 3)
    assert config.date == date(2026, 3, 1)


@pytest.mark.parametrize(
    "override, says",
    [
        ("als.faktors=16", r"unknown key als.faktors, did you mean factors\?"),
        ("asl.factors=16", r"unknown key asl, did you mean als\?"),
        ("pipeline.order.series_kap=1", r"unknown key pipeline.order.series_kap, did you mean series_cap\?"),
        ("als.factors=0", r"als.factors is 0: .*greater than or equal to 1"),
        ("als.factors=many", r"als.factors is 'many': .*integer"),
        ("als.feedback=loud", r"als.feedback is 'loud': .*'implicit' or 'explicit'"),
        ("date=2026-02-30", r"date is '2026-02-30'"),
        ("als", r"--set als: must be section.key=value"),
        ("resources.spark_master=mesos://x", r"resources.spark_master"),
    ],
)
def test_mistakes_are_named(override, says):
    with pytest.raises(UserError, match=says):
        load_config(None, [override])


@pytest.mark.parametrize(
    "text, says",
    [
        ("als: [1, 2", r"c.yaml, line \d+, column \d+: no valid YAML"),
        ("- a\n- b\n", "must hold sections"),
        ("als: 3\n", "als"),
        ("\tals:\n", r"c.yaml, line 1"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, text: str, says: str):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError, match=says):
        load_config(tmp_path / "c.yaml")


@pytest.mark.parametrize("make, says", [(lambda p: None, "no such file"), (lambda p: p.mkdir(), "cannot be read")])
def test_missing_files_are_named(tmp_path, make, says):
    make(tmp_path / "c.yaml")
    with pytest.raises(UserError, match=says):
        load_config(tmp_path / "c.yaml")


def test_the_days_of_a_night():
    days = calendar(WindowConfig(train_days=5, judge_days=2, rank_days=3), date(2026, 3, 10))
    assert days.train == ("2026-03-04", "2026-03-05", "2026-03-06", "2026-03-07", "2026-03-08")
    assert (days.judge, days.cut, days.split) == (("2026-03-09", "2026-03-10"), "2026-03-08", "2026-03-05")
    assert days.rank == days.train[-3:]


def test_all_of_a_log_begins_with_its_first_day():
    days = calendar(WindowConfig(train_days="all", judge_days=2, rank_days=3), date(2026, 3, 10), date(2026, 2, 1))
    assert days.train[0] == "2026-02-01"


def test_too_short_a_window_is_refused():
    with pytest.raises(UserError, match=r"window\.rank_days"):
        calendar(WindowConfig(train_days=28, judge_days=2, rank_days=7), date(2026, 3, 10), date(2026, 3, 2))


def test_no_default_is_beyond_json():
    import json

    json.dumps(plain(NightlyConfig()))


def test_the_reference_page_is_what_the_settings_say():
    assert PAGE.read_text() == reference(), "run: python -m flows.reference"


def test_settings_come_back_from_json_as_they_were():
    """The UI's form holds them as JSON: 0 for 0.0 would be another key, and every stage would run again."""
    adapter = TypeAdapter(NightlyConfig)
    there = adapter.dump_python(NightlyConfig(), mode="json")
    assert repr(adapter.validate_python(there)) == repr(NightlyConfig())
