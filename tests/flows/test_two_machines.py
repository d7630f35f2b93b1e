"""Two machines, each with its home, on one lake in an object store and one registry: what either makes is made once."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from tasks.engine.lake import Lake
from tests.homes import LISTED, Home, Running
from tests.servers import free_port, serving, wait_for

pytestmark = pytest.mark.slow
S3 = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@dataclass
class Machines:
    """Homes that share a lake, whose golden night was stopped before its lists, and a registry."""

    homes: tuple[Home, Home]
    lake: Lake
    registry: str

    def start(self, home: Home, **environment: str) -> Running:
        resources = f"resources.registry={self.registry}"
        return home.command("run", str(home.config), "--lake", self.lake.url, "--set", resources, **S3, **environment)

    def made(self) -> dict[str, list[dict[str, Any]]]:
        """Steps of the last run of each home, by name."""
        steps: dict[str, list[dict[str, Any]]] = {}
        for home in self.homes:
            for step in home.record()["steps"]:
                steps.setdefault(step["step"], []).append(step)
        return steps


@pytest.fixture
def machines(
    golden: Home, make_home: Callable[..., Home], s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machines]:
    for name, value in S3.items():
        monkeypatch.setenv(name, value)
    lake = Lake(s3_url.replace("/night", f"/{tmp_path.name}"), tmp_path / "scratch")
    kept, source = tmp_path / "kept", golden.path / "home/lake"
    hidden = (*LISTED, ".locks", ".staging", "leases", "current")
    shutil.copytree(source, kept, ignore=lambda at, _: hidden if at == str(source) else ())
    store, root = lake._store
    fs.copy_files(str(kept), root, destination_filesystem=store)
    port = free_port()
    with serving(tmp_path / "mlflow", "flows.service.mlflow_server", str(port), NIGHTJAR_HOME=str(tmp_path / "mlflow")):
        wait_for(f"http://127.0.0.1:{port}/health")
        yield Machines((make_home(), make_home()), lake, f"http://127.0.0.1:{port}")


def released(machines: Machines) -> list[str]:
    """Entries of the ledger."""
    home = machines.homes[0]
    told = home.ask("history", "--registry", machines.registry, "--json", **S3)
    assert told.returncode == 0, told.stderr
    return [f"{entry['action']} {entry['to']}" for entry in json.loads(told.stdout)]


def test_a_night_on_two_machines_at_once_is_made_and_released_once(machines: Machines) -> None:
    running = [machines.start(home) for home in machines.homes]
    for one in running:
        done = one.wait()
        assert done.returncode == 0, done.stdout + done.stderr
    steps = machines.made()
    assert set(LISTED) <= set(steps)
    for name, both in steps.items():
        assert sum(step["ran"] for step in both) == (both[0]["cells"] if name in LISTED else 0), name
    assert released(machines) == ["promote 1"]
    assert machines.lake._claims and [f for page in machines.lake._claims.list() for f in page] == []


@pytest.mark.soak
@pytest.mark.parametrize("moment", ["recommendations:begin", "release:logged"])
def test_a_machine_that_dies_gives_its_work_to_the_other(machines: Machines, moment: str) -> None:
    first, second = machines.homes
    dead = machines.start(first, NIGHTJAR_FAULT=moment).wait()
    assert dead.returncode == -9, dead.stdout + dead.stderr
    done = machines.start(second).wait()
    assert done.returncode == 0, done.stdout + done.stderr
    assert released(machines) == ["promote 1"]
    again = machines.start(first).wait()
    assert again.returncode == 0 and {step["state"] for step in first.record()["steps"]} == {"cached"}
    assert released(machines) == ["promote 1"]
    assert list((first.path / "home" / "lake").iterdir()) == []
