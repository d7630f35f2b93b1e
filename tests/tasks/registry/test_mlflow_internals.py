"""What `tasks/registry/mlflow_internals.py` relies on is still there in the MLflow that is installed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.registry.mlflow_internals import files_at


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
