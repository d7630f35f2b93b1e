"""What `tasks/registry/mlflow_internals.py` relies on is still there in the MLflow that is installed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.registry.mlflow_internals import PLACES, files_at, files_of
from tasks.registry.registry import Registry

ELSEWHERE = {
    ("workspaces", "trace_archival_location"),
    ("datasets", "dataset_source"),
    ("evaluation_dataset_records", "source"),
    ("mcp_server_versions", "source"),
}
"""Columns with addresses of what is not MLflow's own, and that nothing here writes."""


def door(function, where):
    return f"another MLflow: see tasks/registry/mlflow_internals.py, {function}; to look at: {where}"


def test_one_address_gives_any_file_below_it(tmp_path):
    below = tmp_path / "a folder #1" / "bundle" / "sub"
    below.mkdir(parents=True)
    (below / "file.txt").write_text("text")
    (tmp_path / "to").mkdir()
    files = files_at(str(tmp_path / "a folder #1"), f"sqlite:///{tmp_path}/mlflow.db")
    found = files.download_artifacts("bundle/sub/file.txt", str(tmp_path / "to"))
    told = door("files_at", "mlflow/store/artifact/artifact_repository_registry.py")
    assert Path(found).read_text() == "text" and Path(found).is_relative_to(tmp_path / "to"), told
    assert not (tmp_path / "mlflow.db").exists(), told


# In a process of its own, because a process has one such server.
SERVED = """
import json, sys
from pathlib import Path
from fastapi.testclient import TestClient
from tasks.registry.mlflow_internals import server_application

home = Path(sys.argv[1])
app = server_application(f"sqlite:///{home}/some.db", home / "artifacts")
with TestClient(app, base_url="http://127.0.0.1") as client:
    made = client.post("/api/2.0/mlflow/experiments/create", json={"name": "one"}).json()["experiment_id"]
    told = client.get("/api/2.0/mlflow/experiments/get", params={"experiment_id": made}).json()["experiment"]
    model = client.post("/api/2.0/mlflow/registered-models/create", json={"name": "model"}).json()
    sent = client.put("/api/2.0/mlflow-artifacts/artifacts/some/file.txt", content=b"text")
    print(json.dumps([told["artifact_location"], model["registered_model"]["name"], sent.status_code]))
"""


@pytest.mark.slow
def test_the_server_is_an_application_on_the_database_and_the_folder_that_are_given(tmp_path):
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", SERVED, tmp_path], cwd=root, capture_output=True, text=True)
    told = door("server_application", "mlflow/server/constants.py, mlflow/server/fastapi_app.py")
    assert done.returncode == 0, f"{told}\n{done.stderr}"
    location, model, status = json.loads(done.stdout.splitlines()[-1])
    assert location.startswith("mlflow-artifacts:/") and (model, status) == ("model", 200), told
    assert (tmp_path / "some.db").exists() and (tmp_path / "artifacts/some/file.txt").read_text() == "text", told


@pytest.mark.parametrize("place", ["moved", "copied"])
def test_files_of_a_folder_that_was_moved_or_copied_are_there_again(tmp_path, place):
    registry = Registry(tmp_path / "a home #1")
    run = registry.client.create_run(registry.experiment_id()).info.run_id
    registry.client.log_text(run, "text", "some/file.txt")
    registry.client.create_registered_model("model")
    (registry.artifacts / "model").mkdir()
    registry.client.create_model_version("model", (registry.artifacts / "model").as_uri())
    registry.client.create_model_version("model", "s3://bucket/model")
    there = tmp_path / "there"
    shutil.copytree(registry.home, there)
    if place == "moved":
        shutil.rmtree(registry.home)
    told = door("relocate", "columns of MLflow's tables that hold addresses")
    files = {p: p.read_bytes() for p in registry.home.rglob("*") if p.is_file()}
    moved = Registry(there)
    assert moved.client.get_run(run).info.artifact_uri.startswith(moved.artifacts.as_uri()), told
    assert Path(moved.client.download_artifacts(run, "some/file.txt")).read_text() == "text", told
    assert moved.client.get_model_version("model", "1").source == (moved.artifacts / "model").as_uri(), told
    assert moved.client.get_model_version("model", "2").source == "s3://bucket/model", told
    new = moved.client.create_run(moved.experiment_id()).info.artifact_uri
    assert new.startswith(moved.artifacts.as_uri()), told
    assert str(registry.home) not in Path(moved.database).read_bytes().decode(errors="ignore").replace("%20", " "), told
    assert {p: p.read_bytes() for p in registry.home.rglob("*") if p.is_file()} == files


def test_what_was_written_where_the_folder_was_before_stays_there(tmp_path):
    """Earlier code went on writing to the old place after a move."""
    registry = Registry(tmp_path / "old")
    run = registry.client.create_run(registry.experiment_id()).info.run_id
    registry.home.rename(tmp_path / "new")
    registry.artifacts.joinpath(run, "artifacts").mkdir(parents=True)
    moved = Registry(tmp_path / "new")
    assert moved.client.get_run(run).info.artifact_uri.startswith(registry.artifacts.as_uri())
    assert files_of(moved.database) == moved.artifacts


def test_every_column_that_may_hold_an_address_is_known():
    from mlflow.store.db.base_sql_model import Base
    from mlflow.store.model_registry.dbmodels import models as registered
    from mlflow.store.tracking.dbmodels import models as tracked

    assert registered and tracked
    words = ("location", "uri", "source")
    columns = ((table.name, column.name) for table in Base.metadata.tables.values() for column in table.columns)
    found = {(table, name) for table, name in columns if any(word in name.split("_") for word in words)}
    said = {(table, name) for table, name in found if not name.endswith(("_id", "_type", "_version", "_name"))}
    assert said - ELSEWHERE == set(PLACES), door("PLACES", "the columns that have come")
