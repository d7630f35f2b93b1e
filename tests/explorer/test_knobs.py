"""Knobs come from the settings classes, and turn what the bundle knows and nothing else."""

import pytest

from expectations.errors import UserError
from explorer.knobs import applies, differences, knobs, reach, turned, value_of
from explorer.questions import Question, ask
from models.serving.config import PipelineConfig, pipeline_of
from tasks.stage import plain

OWN = plain(PipelineConfig())


def test_every_knob_is_a_setting_within_its_bounds():
    assert {"k", "sources.als.weight", "rank.cf_weight", "order.mmr_lambda"} <= {knob.name for knob in knobs()}
    for knob in knobs():
        assert value_of(OWN, knob.name) == knob.default
        assert knob.low <= knob.default <= reach(knob, knob.default) and knob.meaning


def test_turning_changes_the_named_values_alone():
    changed = turned(OWN, {"k": 30, "sources.als.weight": 3.0, "order.mmr_lambda": 0.9})
    assert differences(OWN, changed) == ["pipeline.k=30", "pipeline.sources.als.weight=3.0"]
    assert value_of(OWN, "k") == 20, "the release's own settings stay"
    assert turned(OWN, {knob.name: value_of(OWN, knob.name) for knob in knobs()}) == OWN


def test_a_setting_that_an_old_release_does_not_know_stays_unknown():
    old = {name: value for name, value in OWN.items() if name not in ("system", "candidates")}
    assert "candidates" not in turned(old, {"candidates": 50})


def test_what_does_not_go_together_is_refused():
    with pytest.raises(UserError, match="pool_size is 5; it must be at least k, which is 20"):
        turned(OWN, {"pool_size": 5})


def test_candidates_of_a_system_are_asked_of_its_sources():
    netflix = plain(pipeline_of("netflix", PipelineConfig()))
    changed = turned(netflix, {"candidates": 50})
    assert [changed["sources"][name]["num_candidates"] for name in ("transformer", "als", "towers")] == [50, 50, 0]


def test_weights_of_other_systems_are_out_of_use():
    netflix = plain(pipeline_of("netflix", PipelineConfig()))
    by_name = {knob.name: knob for knob in knobs()}
    assert applies(by_name["rank.foundation_weight"], netflix) and applies(by_name["k"], netflix)
    assert not applies(by_name["rank.cf_weight"], netflix)


def test_a_turned_knob_changes_the_list(release):
    name = next(iter(release.users))
    own = ask(release, Question(user=name))
    other = ask(release, Question(user=name), turned(release.bundle.pipeline, {"order.mmr_lambda": 0.05}))
    assert own.items != other.items
    assert ask(release, Question(user=name)).items == own.items
