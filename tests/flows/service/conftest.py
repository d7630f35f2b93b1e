"""A real service on loopback: `nightjar up` in a home of its own, on ports that nobody else has."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.service.http import call
from tests.servers import free_port


@dataclass
class Service:
    """A home and its service, and what its first `up` told."""

    home: Any
    prefect_port: int
    mlflow_port: int
    auth: str = ""
    told: str = ""

    @property
    def folder(self) -> Path:
        return Path(self.home.path / "home" / "service")

    def up(self, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
        done = self.home.run("up", *more, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def first_up(self, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """With ports and config; the next ones remember them."""
        ports = ("--prefect-port", str(self.prefect_port), "--mlflow-port", str(self.mlflow_port))
        return self.up(*ports, "--config", str(self.home.config), *more, **environment)

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.home.ask("status", "--json").stdout))

    def records(self) -> dict[str, dict[str, Any]]:
        found = [json.loads(p.read_text()) for p in self.folder.glob("*.pid.json")]
        return {r["name"]: r for r in found}

    def pids(self) -> dict[str, int]:
        return {name: r["pid"] for name, r in self.records().items()}

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        process = psutil.Process(self.pids()[name])
        process.send_signal(number)
        if number == signal.SIGKILL:
            self.wait(lambda: _is_gone(process))

    def get(self, name: str, path: str, body: Any = None, auth: str | None = None, method: str = "") -> Any:
        """What a server answers to a GET, or to a POST when there is a body."""
        credential = self.auth if auth is None else auth
        return call(self.records()[name]["url"] + path, body, method=method, auth=credential, timeout_s=60)

    def api(self, path: str, body: Any = None) -> Any:
        return self.get("prefect", f"/api{path}", body)

    def deployment(self, name: str) -> dict[str, Any]:
        return next(d for d in self.api("/deployments/filter", {}) if d["name"] == name)

    def start_run(self, name: str, **parameters: Any) -> str:
        """A run of a deployment, as the UI starts it."""
        made = self.api(f"/deployments/{self.deployment(name)['id']}/create_flow_run", {"parameters": parameters})
        return str(made["id"])

    def await_state(self, run: str, *states: str, timeout: float = 500) -> dict[str, Any]:
        """A run, once it is in one of these states."""
        return self.wait(lambda: (r := self.api(f"/flow_runs/{run}"))["state_type"] in states and r, timeout)

    @staticmethod
    def wait(look: Callable[[], Any], timeout: float = 180) -> Any:
        """The first truth that `look` returns."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if found := look():
                return found
            time.sleep(0.2)
        raise AssertionError(f"not within {timeout} s: {look()!r}")


def _is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="session")
def make_service(continued: Callable[..., Any]) -> Callable[[], Service]:
    """Makes services of homes in which the golden night was stopped before its release."""
    return lambda: Service(continued(), free_port(), free_port())
