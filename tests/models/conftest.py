"""One made bundle for all tests of the runtime, and ways to vary its settings and tables."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from benchmarks.made_bundle import foundation_tables, make_bundle, make_tables
from models.runtime import Bundle
from models.serving.config import PipelineConfig
from tasks.engine.stage import plain

NUM_USERS, NUM_ITEMS = 40, 150


def changed(pipeline: Mapping[str, Any], changes: Mapping[str, object]) -> dict[str, Any]:
    """A pipeline with some values changed, by their dotted names."""
    made = copy.deepcopy(dict(pipeline))
    for name, value in changes.items():
        *sections, last = name.split(".")
        place = made
        for section in sections:
            place = place[section]
        assert last in place, name
        place[last] = value
    return made


@pytest.fixture(scope="session")
def pipeline() -> dict[str, Any]:
    """Settings under which every part has something to do on 150 items."""
    settings: dict[str, object] = {"k": 8, "pool_size": 60}
    settings |= {"order.exploration_head": 12, "order.exploration_position": 6}
    settings |= {"history.length": 8, "order.creator_cap": 2, "order.series_cap": 1, "sources.content.items": "cold"}
    sizes = {"towers": 40, "als": 40, "item_item": 30, "content": 20, "popularity": 30}
    settings |= {f"sources.{name}.num_candidates": size for name, size in sizes.items()}
    return changed(plain(PipelineConfig()), settings)


@pytest.fixture(scope="session")
def tables() -> dict[str, pa.Table]:
    return make_tables(NUM_USERS, NUM_ITEMS) | foundation_tables(NUM_USERS, NUM_ITEMS)


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory, tables: dict[str, pa.Table], pipeline: dict[str, Any]) -> Path:
    return make_bundle(tmp_path_factory.mktemp("made"), tables, pipeline)


@pytest.fixture(scope="session")
def bundle(path: Path) -> Bundle:
    return Bundle(path, threads=2)


@pytest.fixture(scope="session")
def bundle_with(bundle: Bundle) -> Callable[..., Bundle]:
    """The made bundle with settings changed by their names, `__` in place of dots."""
    return lambda **changes: bundle.with_pipeline(
        changed(bundle.pipeline, {name.replace("__", "."): value for name, value in changes.items()})
    )


@pytest.fixture
def remade(tmp_path: Path, tables: dict[str, pa.Table], pipeline: dict[str, Any]) -> Callable[..., Bundle]:
    """A bundle with other tables."""
    return lambda **others: Bundle(make_bundle(tmp_path, tables | others, pipeline), threads=1)


@pytest.fixture(scope="session")
def user_ids() -> list[int]:
    return list(range(NUM_USERS))
