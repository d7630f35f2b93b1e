"""What the service is made of: the Prefect server, the MLflow server, the workers; each one process on loopback."""

import hashlib
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from flows.environment import variables
from flows.service.origins import VARIABLE as ALLOW_HOSTS
from flows.service.settings import Settings
from tasks.machine.processes import OWNER

POOL = "nightjar"
PORTS = {"prefect": 4200, "mlflow": 5000}
HEARTBEAT_S = 120.0
"""A worker this old has been heard of, or never will be."""
TAG = "NIGHTJAR_SERVICE"
"""Environment variable by which a process of ours is known when its record was lost."""

SECRETS = ("NIGHTJAR_AUTH", "NIGHTJAR_PREFECT_DATABASE", "NIGHTJAR_MLFLOW_DATABASE", "NIGHTJAR_NOTIFY")
"""Environment variables in which a user may give `nightjar up` what others should not read on its command line."""


@dataclass(frozen=True)
class Part:
    """One process: how it is started, and where it says that it is well."""

    name: str
    command: list[str]
    port: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Address for people; empty for a worker, which listens nowhere."""
        return f"http://127.0.0.1:{self.port}" if self.port else ""

    @property
    def digest(self) -> str:
        """Names the settings it is started with: another digest, another start."""
        return hashlib.sha256(json.dumps([self.command, self.environment], sort_keys=True).encode()).hexdigest()[:16]

    def full_environment(self, home: Path) -> dict[str, str]:
        """Environment of the process, without what belongs to the command that starts it: its tag, its server."""
        foreign = (OWNER, *SECRETS, "NIGHTJAR_REGISTRY", "PREFECT_", "MLFLOW_")
        ours = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        return {**ours, **variables(home), "PYTHONUNBUFFERED": "1", TAG: self.name, **self.environment}


def _bounded(module: str, *arguments: str) -> list[str]:
    """The command of a module whose log does not grow without bound."""
    return [sys.executable, "-m", "flows.service.rotation", module, *arguments]


def prefect_server(settings: Settings, port: int) -> Part:
    environment = {
        # The UI asks where its page is from, under whichever name that was.
        "PREFECT_UI_API_URL": "/api",
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        # Notifications link there.
        "PREFECT_UI_URL": f"http://127.0.0.1:{port}",
        **({"PREFECT_API_DATABASE_CONNECTION_URL": settings.prefect_database_url} if settings.prefect_database else {}),
        **({"PREFECT_SERVER_API_AUTH_STRING": settings.auth} if settings.auth else {}),
        **settings.credential,
        ALLOW_HOSTS: settings.allow_hosts,
    }
    return Part("prefect", _bounded("flows.service.prefect_server", str(port)), port, environment)


def mlflow_server(settings: Settings, port: int) -> Part:
    environment = {
        "MLFLOW_BACKEND_STORE_URI": settings.mlflow_database_url,
        "NIGHTJAR_AUTH": settings.auth,
        ALLOW_HOSTS: settings.allow_hosts,
    }
    return Part("mlflow", _bounded("flows.service.mlflow_server", str(port)), port, environment)


def worker(settings: Settings, number: int, api_url: str) -> Part:
    name = f"{POOL}-{number}"
    command = _bounded("prefect", "worker", "start", "--type", "process", "--pool", POOL, "--name", name)
    environment = {
        "PREFECT_API_URL": api_url,
        **settings.credential,
        # Prefect's server fails so when all its connections to SQLite wait for a lock; a minute later they do not.
        "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
        # A run that somebody starts should start now, not in ten seconds.
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        # What a run says is shown in the UI.
        "PREFECT_LOGGING_LEVEL": "INFO",
    }
    return Part(name, command, 0, environment)
