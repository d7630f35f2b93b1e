"""Knobs come from the settings classes, and turn what the bundle knows and nothing else."""

from dataclasses import fields, replace
from typing import Any, get_args

import pyarrow as pa
import pytest

from benchmarks.made_bundle import foundation_tables, make_bundle, make_tables
from expectations.errors import UserError
from explorer.data import Store
from explorer.knobs import Knob, applies, differences, knobs, reach, turned, value_of
from explorer.requests import Question, ask
from explorer.tabs.try_settings import command
from flows.night.records import RunRecord
from models.runtime import Bundle
from models.serving.config import (
    FiltersConfig,
    OrderConfig,
    PipelineConfig,
    SourceConfig,
    SourcesConfig,
    System,
    pipeline_of,
)
from tasks.engine.stage import plain

OWN = plain(PipelineConfig())
CATALOGUE = SourcesConfig.LEFT_OUT_BY_DEFAULT


def test_every_knob_is_a_setting_within_its_bounds():
    assert {"k", "sources.als.weight", "rank.cf_weight", "order.mmr_lambda"} <= {knob.name for knob in knobs()}
    for knob in knobs():
        if knob.name.removeprefix("sources.").partition(".")[0] in CATALOGUE:
            assert not applies(knob, OWN), "a release has such a source when its pipeline asks for it"
            continue
        assert value_of(OWN, knob.name) == knob.default
        assert knob.low <= knob.default <= reach(knob, knob.default) and knob.meaning


def test_turning_changes_the_named_values_alone():
    changed = turned(OWN, {"k": 30, "sources.als.weight": 3.0, "order.mmr_lambda": 0.9})
    assert differences(OWN, changed) == ["pipeline.k=30", "pipeline.sources.als.weight=3.0"]
    assert value_of(OWN, "k") == 20, "the release's own settings stay"
    assert turned(OWN, {knob.name: value_of(OWN, knob.name) for knob in knobs()}) == OWN
    sources = {"ease": SourceConfig(num_candidates=20)}
    asks = plain(PipelineConfig(sources=SourcesConfig(**sources)))
    assert differences(asks, turned(asks, {"sources.ease.weight": 3.0})) == ["pipeline.sources.ease.weight=3.0"]


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
    assert differences(netflix, changed) == ["pipeline.candidates=50", "pipeline.pool_size=100"]
    assert turned(netflix, {"candidates": 100, "pool_size": 60})["pool_size"] == 60, "turned by hand, it stays"
    assert turned(netflix, {"candidates": 50, "pool_size": 60})["pool_size"] == 60
    narrow = plain(pipeline_of("youtube", PipelineConfig(candidates=50)))
    assert narrow["pool_size"] == 50 and turned(narrow, {"candidates": 200})["pool_size"] == 150


def test_settings_that_a_release_does_not_know_stay_unknown():
    """Its runtime refuses them."""
    netflix = plain(pipeline_of("netflix", PipelineConfig()))
    order = {name: value for name, value in netflix["order"].items() if name != "by_relevance"}
    changed = turned(netflix | {"order": order}, {"candidates": 50, "order.by_relevance": True})
    assert changed["candidates"] == 50 and changed["order"] == order


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    """A release with a transformer, so that any system can be asked."""
    tables = make_tables(40, 150) | foundation_tables(40, 150)
    tables["users"] = tables["users"].set_column(1, "age", pa.nulls(40, tables["users"]["age"].type))
    return Bundle(make_bundle(tmp_path_factory.mktemp("any"), tables, OWN), threads=1)


@pytest.mark.parametrize("system", get_args(System))
def test_a_knob_is_in_use_where_it_changes_a_list(bundle, system):
    sources = {f.name: SourceConfig(num_candidates=30) for f in fields(SourcesConfig) if f.name not in CATALOGUE}
    small = PipelineConfig(
        k=8, candidates=30, pool_size=20, sources=SourcesConfig(**sources), filters=FiltersConfig(default_age=12),
        order=OrderConfig(exploration_position=5, exploration_head=10, genre_coverage=0.2),
    )  # fmt: skip
    own = plain(pipeline_of(system, small))

    def lists(pipeline: dict[str, Any]) -> list[int]:
        return list(bundle.with_pipeline(pipeline).recommend(bundle.features.users.ids).table["item_id"].to_pylist())

    def turns(knob: Knob) -> list[dict[str, Any]]:
        at, least = value_of(own, knob.name), own["k"] if knob.name == "pool_size" else knob.low
        numbers = [knob.kind(v) for v in (max(at / 4, least), at * 2) if v <= knob.high]
        return [turned(own, {knob.name: value}) for value in ([not at] if knob.kind is bool else numbers)]

    as_released = lists(own)
    in_use = {knob.name for knob in knobs() if applies(knob, own)}
    off = {f"sources.{name}.num_candidates" for name in sources} - in_use  # no night would turn them
    for knob in knobs():
        if knob.name not in off and value_of(own, knob.name) is not None:
            assert any(lists(p) != as_released for p in turns(knob)) == (knob.name in in_use), knob.name
    assert len(off) == (0 if system == "fusion" else len(sources))


def test_a_turned_knob_changes_the_list(release):
    name = next(iter(release.users))
    own = ask(release, Question(user=name))
    other = ask(release, Question(user=name), turned(release.bundle.pipeline, {"order.mmr_lambda": 0.05}))
    assert own.items != other.items
    assert ask(release, Question(user=name)).items == own.items


def test_the_command_starts_from_the_config_of_the_run_that_made_the_release(release, tmp_path):
    store, changes = Store(tmp_path), ["pipeline.k=30"]
    assert command(store, release, changes) == "nightjar run CONFIG.yaml --set system=fusion --set pipeline.k=30"
    record = RunRecord(
        "20260101T000000-aaaa", "a night.yaml", ["system=fusion", "pipeline.k=5"], f"{tmp_path}/lake", "2026-01-01"
    )
    for name, made in (("20260101T000000-aaaa", {"version": release.number}), ("20260102T000000-bbbb", {})):
        replace(record, id=name, release=made).save(tmp_path)
    told = "nightjar run 'a night.yaml' --date 2026-01-01 --set pipeline.k=5 --set system=fusion --set pipeline.k=30"
    assert command(store, release, changes) == told
    other = replace(record, config="another.yaml", release={"version": release.number})
    replace(other, id="20260103T000000-cccc", registry="http://elsewhere").save(tmp_path)
    assert command(store, release, changes) == told, "that is a version of another registry"
    another = {"version": release.number, "digest": "of another release"}
    replace(other, id="20260104T000000-dddd", release=another).save(tmp_path)
    assert command(store, release, changes) == told, "that had its number before the registry was emptied"
    replace(other, id="20260105T000000-eeee", release=another | {"digest": release.version.digest}).save(tmp_path)
    assert "another.yaml" in command(store, release, changes)
