"""Settings of the pipeline: bounds, and the ablations made from them."""

import json
from dataclasses import fields

import pytest
from pydantic import ValidationError

from models.runtime.filters import Filters
from models.runtime.systems import SYSTEMS
from models.serving.config import (
    FiltersConfig,
    OrderConfig,
    PipelineConfig,
    RankConfig,
    SourceConfig,
    SourcesConfig,
    asked_of_catalogue,
    asked_sources,
    pipeline_of,
    without_each_part,
)
from tasks.engine.stage import plain

SOURCES = tuple(f.name for f in fields(SourcesConfig))


def test_sources_and_filters_are_those_of_the_runtime(bundle):
    """Those of the catalogue are in a release that asks for them."""
    assert set(SOURCES) - set(SourcesConfig.LEFT_OUT_BY_DEFAULT) == set(bundle.sources)
    assert set(Filters.REASONS) <= {f.name for f in fields(FiltersConfig)}


def test_every_setting_of_the_ranking_is_of_some_system_and_no_other_is():
    assert {name for system in SYSTEMS.values() for name in system.settings} == {f.name for f in fields(RankConfig)}
    for system in SYSTEMS.values():
        assert {name for changes in system.without.values() for name in changes} <= {*system.settings}
        assert {*system.sources, *system.scored_by} <= {*SOURCES}


@pytest.mark.parametrize(
    ("system", "needs"), [("fusion", False), ("youtube", False), ("netflix", True), ("hybrid", True)]
)
def test_a_transformer_is_needed_where_it_proposes_or_scores(system, needs):
    assert ("transformer" in asked_sources(pipeline_of(system, PipelineConfig()))) == needs
    on = PipelineConfig(sources=SourcesConfig(transformer=SourceConfig(num_candidates=10)))
    assert ("transformer" in asked_sources(pipeline_of(system, on))) == (needs or system == "fusion")


def test_settings_survive_json():
    values = json.loads(json.dumps(plain(PipelineConfig())))
    assert values["sources"]["als"]["num_candidates"] == 150
    assert PipelineConfig(**{n: v for n, v in values.items() if n in ("k", "pool_size")}) == PipelineConfig()


def test_impossible_settings_are_refused():
    with pytest.raises(ValidationError, match="pool_size is 150; it must be at least k, which is 300"):
        PipelineConfig(k=300)
    off = SourceConfig(num_candidates=0)
    with pytest.raises(ValidationError, match="at least one source must be on"):
        PipelineConfig(sources=SourcesConfig(**dict.fromkeys(SOURCES, off)))
    with pytest.raises(ValidationError, match="mmr_lambda"):
        OrderConfig(mmr_lambda=1.5)


def test_ablations_take_out_one_part_each():
    config = PipelineConfig()
    found = dict(without_each_part(config))
    on = set(SOURCES) - {"transformer", *SourcesConfig.LEFT_OUT_BY_DEFAULT}  # off by default
    assert set(found) == {*on, "ranker", "retrieval_order", "mmr", "caps", "fresh_quota", "exploration"}
    assert all(other != config for other in found.values())
    assert found["als"].sources.als.num_candidates == 0
    assert found["als"].sources.towers == config.sources.towers


def test_what_is_off_already_is_no_ablation():
    config = PipelineConfig(
        order=OrderConfig(mmr_lambda=1.0), sources=SourcesConfig(content=SourceConfig(num_candidates=0))
    )
    assert {"mmr", "content"} & set(dict(without_each_part(config))) == set()


def test_a_source_of_the_catalogue_is_off_and_leaves_no_trace_unless_asked_for():
    off = PipelineConfig()
    assert "ease" not in plain(off)["sources"] and asked_of_catalogue(off) == []
    sources = {"ease": SourceConfig(num_candidates=20)}
    on = PipelineConfig(sources=SourcesConfig(**sources))
    assert plain(on)["sources"]["ease"]["num_candidates"] == 20
    assert [model.name for model in asked_of_catalogue(on)] == ["ease"]
    assert "ease" in dict(without_each_part(on)) and "ease" not in dict(without_each_part(off))
    assert asked_of_catalogue(pipeline_of("youtube", on)) == []
