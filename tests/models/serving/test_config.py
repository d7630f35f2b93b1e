"""Settings of the pipeline: bounds, and the ablations made from them."""

import dataclasses
import json

import pytest
from pydantic import ValidationError

from models.runtime.filters import Filters
from models.runtime.sources import SOURCES
from models.serving.config import (
    FiltersConfig,
    OrderConfig,
    PipelineConfig,
    SourceConfig,
    SourcesConfig,
    without_each_part,
)
from tasks.engine.stage import plain


def test_sources_and_filters_are_those_of_the_runtime():
    assert tuple(f.name for f in dataclasses.fields(SourcesConfig)) == SOURCES
    assert set(Filters.REASONS) <= {f.name for f in dataclasses.fields(FiltersConfig)}


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
    on = {name for name in SOURCES if name != "transformer"}  # off by default
    assert set(found) == {*on, "ranker", "retrieval_order", "mmr", "caps", "fresh_quota", "exploration"}
    assert all(other != config for other in found.values())
    assert found["als"].sources.als.num_candidates == 0
    assert found["als"].sources.towers == config.sources.towers


def test_what_is_off_already_is_no_ablation():
    config = PipelineConfig(
        order=OrderConfig(mmr_lambda=1.0), sources=SourcesConfig(content=SourceConfig(num_candidates=0))
    )
    assert {"mmr", "content"} & set(dict(without_each_part(config))) == set()
