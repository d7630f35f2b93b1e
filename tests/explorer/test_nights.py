"""Nights in a process of their own: what they tell, how they end, one at a time."""

import time

import pytest

from expectations.errors import UserError
from explorer.nights import DATA, NightProgress, Nights, follow
from explorer.tabs.night import begin, configs, overrides_of, settings_of, systems
from flows.config import load_config


def test_events_become_the_lines_of_the_progress():
    progress = NightProgress("a night", "running", 1.0)
    follow(
        [
            {"run": "r", "log": "/log.txt", "steps": ["catalogue", "events"]},
            {"step": "catalogue", "state": "running", "what": ""},
            {"step": "catalogue", "done": 1, "total": 4, "what": "users"},
            {"step": "catalogue", "state": "ran", "seconds": 2.5, "rows": 10, "what": "", "total": 0},
            {"version": 7, "decision": "It is the champion."},
        ],
        progress,
    )
    catalogue, events = progress.stages
    assert (catalogue.state, catalogue.seconds, catalogue.rows, catalogue.total) == ("ran", 2.5, 10, 0)
    assert events.state == "waiting" and progress.version == 7 and progress.log == "/log.txt"


def test_a_night_that_cannot_run_says_why_in_its_own_words(tmp_path):
    nights = Nights(tmp_path / "home")
    impossible = load_config(None, ["source.kind=movielens", "source.path=/nowhere"])
    nights.start("a night", impossible, "", (), DATA)
    with pytest.raises(UserError, match="a night is under way"):
        nights.start("another", impossible, "", ())
    until = time.monotonic() + 300
    while (progress := nights.look()) and progress.state == "running":
        assert time.monotonic() < until
        time.sleep(0.2)
    assert progress and progress.state == "failed"
    assert "/nowhere" in progress.error and "Traceback" not in progress.error
    nights.cancel()
    assert (ended := nights.look()) and ended.state == "failed", "what has ended cannot be cancelled"


def test_configs_to_start_from_are_those_of_nights():
    assert "deployments/demo.yaml" in configs() and "deployments/compose.yaml" not in configs()
    assert settings_of("deployments/demo.yaml")["world.num_users"] == 1000
    assert "netflix" in systems()


def test_only_what_differs_from_the_config_is_an_override():
    own = {"world.num_users": 1000, "pipeline.k": 20}
    values = {"system": "", "world.num_users": 500, "pipeline.k": 20}
    assert overrides_of(own, values, "als.factors=8\n\n") == ("world.num_users=500", "als.factors=8")


def test_wrong_settings_start_nothing(tmp_path):
    nights = Nights(tmp_path)
    with pytest.raises(UserError, match=r"unknown key als\.faktors"):
        begin(nights, "deployments/demo.yaml", "", (0, 0, 0, 0), "als.faktors=3", only_data=True)
    with pytest.raises(UserError, match="choose the config"):
        begin(nights, None, "", (), "", only_data=True)
    assert nights.look() is None
