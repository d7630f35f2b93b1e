"""One made release for all tests of what the explorer reads."""

import pytest

from benchmarks.made_bundle import make_bundle, make_tables
from explorer.data import Release
from models.runtime import Bundle
from models.serving.config import PipelineConfig
from tasks.engine.stage import plain
from tasks.registry.registry import Version


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    path = make_bundle(tmp_path_factory.mktemp("made"), make_tables(40, 150), plain(PipelineConfig(k=8)))
    return Release(Version(3, "run", {"nightjar.date": "2026-01-30"}), Bundle(path, threads=1))
