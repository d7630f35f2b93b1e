"""How a command reaches the servers: the service's when it runs, else what Prefect and MLflow do on their own."""

import os
from pathlib import Path

from flows.service.http import answers
from flows.service.settings import load_settings
from flows.service.state import load


def connection(home: Path) -> dict[str, str]:
    """Variables that lead a command of this home to its service.

    A Prefect server that the environment names already is the user's own choice. Releases go straight into the SQLite
    file of the home; with a database elsewhere they go through the MLflow server, so that no password leaves it.
    """
    settings = load_settings(home)
    prefect, mlflow = load(home, "prefect"), load(home, "mlflow")
    found: dict[str, str] = {}
    own = bool(os.environ.get("PREFECT_API_URL"))
    if prefect and not own and prefect.process() and answers(prefect.health_url):
        found |= {"PREFECT_API_URL": f"{prefect.url}/api", **settings.credential}
    if mlflow and settings.mlflow_database:
        found |= {"NIGHTJAR_REGISTRY": mlflow.url, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3"}
        if settings.auth:
            user, _, password = settings.auth.partition(":")
            found |= {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password}
    return found
