"""The one door to what MLflow 3.17 keeps to itself: its server as an application, and the files behind an address.

Each function says why no public way serves, and what to look at when a new release breaks it. That all of it is still
there and still does what is relied on, `tests/tasks/registry/test_mlflow_internals.py` checks.
"""

import os
from pathlib import Path
from typing import Any


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
