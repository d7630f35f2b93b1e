"""The one door to what MLflow 3.17 keeps to itself: its server as an application, and the files behind an address.

Each function says why no public way serves, and what to look at when a new release breaks it. That all of it is still
there and still does what is relied on, `tests/tasks/registry/test_mlflow_internals.py` checks.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

PLACES = (
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
    ("experiments", "artifact_location"),
)
"""Where MLflow keeps addresses of files in its database. They are whole, whatever it is given."""


def server_application(store: str, artifacts: Path) -> Any:
    """MLflow's server as an ASGI application of this process, on a database by URL and a folder of artifacts.

    `mlflow server` starts it as a second process below a supervisor, which costs three seconds and can die alone. To
    look at: the variables of `mlflow/server/constants.py` that `_run_server` in `mlflow/server/__init__.py` sets for
    that process, and `app` in `mlflow/server/fastapi_app.py`.
    """
    from mlflow.server import constants

    os.environ.update(
        {
            constants.BACKEND_STORE_URI_ENV_VAR: store,
            constants.REGISTRY_STORE_URI_ENV_VAR: store,
            constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
            constants.ARTIFACTS_DESTINATION_ENV_VAR: str(artifacts),
            constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        }
    )
    from mlflow.server.fastapi_app import app

    return app


def files_at(address: str, registry: str) -> Any:
    """What downloads files below an address that the registry (a URL) gave, by `download_artifacts(name, folder)`.

    `mlflow.artifacts.download_artifacts` takes an address with a file's name, and asks the registry anew for each file
    of `models:/...`, or misreads a folder whose name has a `#`. To look at: `get_artifact_repository` in
    `mlflow/store/artifact/artifact_repository_registry.py`.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(address, tracking_uri=registry, registry_uri=registry)


def files_of(database: Path, experiment: str = "nightjar") -> Path | None:
    """The folder that an experiment's files are in by MLflow's own SQLite file; None where it names none.

    MLflow's clients tell the same, and import for two seconds.
    """
    if not database.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            query = "SELECT artifact_location FROM experiments WHERE name = ?"
            found = connection.execute(query, (experiment,)).fetchone()
    except sqlite3.Error:  # MLflow tells what is wrong with it
        return None
    return _path(found[0]) if found and str(found[0]).startswith("file:") else None


def relocate(database: Path, artifacts: Path) -> None:
    """Have MLflow's SQLite file find its files where they are, after the folder of both was moved or copied.

    MLflow keeps a whole address for every run and model and has no command that changes them. All or none are changed.
    What is not in the new folder and still in the old one stays as it is. To look at: columns of
    `mlflow/store/tracking/dbmodels/models.py` and `mlflow/store/model_registry/dbmodels/models.py` that hold addresses.
    """
    before = files_of(database)
    if before in (None, artifacts):
        return
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for table, column in PLACES:
            rows = connection.execute(f'SELECT rowid, "{column}" FROM "{table}" WHERE "{column}" LIKE ?', ("file:%",))
            for row, address in rows.fetchall():
                old = _path(address)
                if not old.is_relative_to(before):
                    continue
                new = artifacts / old.relative_to(before)
                if table == "experiments" or new.exists() or not old.exists():
                    connection.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (new.as_uri(), row))
        connection.execute("COMMIT")


def _path(address: str) -> Path:
    return Path(url2pathname(urlsplit(address).path))
