"""Where a night says that people find its report and its version."""

from pathlib import Path

import pytest

from flows.night.prefect_page import _mlflow_pages
from tasks.registry.registry import Registry

MEASURES = {"run_id": "abc", "version": 7}


@pytest.fixture
def local(tmp_path: Path) -> Registry:
    (tmp_path / "mlflow").mkdir()
    return Registry(tmp_path)


def test_without_a_server_nothing_is_a_link(local, monkeypatch):
    monkeypatch.delenv("NIGHTJAR_MLFLOW_URL", raising=False)
    assert _mlflow_pages(local, MEASURES) == {}


def test_a_server_that_the_environment_names_shows_a_local_registry(local, monkeypatch):
    monkeypatch.setenv("NIGHTJAR_MLFLOW_URL", "http://127.0.0.1:5000/")
    experiment = local.experiment_id()
    assert _mlflow_pages(local, MEASURES) == {
        "release": "http://127.0.0.1:5000/#/models/nightjar-recommender/versions/7",
        "report": f"http://127.0.0.1:5000/#/experiments/{experiment}/runs/abc/artifacts/report/report.html",
    }


def test_no_password_of_an_address_is_shown(local, monkeypatch):
    monkeypatch.setenv("NIGHTJAR_MLFLOW_URL", "https://admin:secret@models.example/mlflow")
    pages = _mlflow_pages(local, MEASURES)
    assert pages["release"].startswith("https://models.example/mlflow/#/models/")
    assert "secret" not in str(pages)
