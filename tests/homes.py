"""Homes of tests: a config, the command in a process of its own or in this one, and a finished night that all share."""

import io
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock

from benchmarks.fixed_cost import NIGHT as SMALL
from flows.environment import variables
from flows.service.own_server import ENVIRONMENT
from flows.service.prefect_database import make_database
from tests.servers import free_port, serving, wait_for

ROOT = Path(__file__).resolve().parents[1]

TINY = """
world: {num_users: 60, num_items: 120, num_days: 8}
window: {train_days: 5, judge_days: 1, rank_days: 2}
als: {factors: 4, iterations: 1}
towers: {dim: 8, fit: {max_epochs: 1}}
ranker: {fit: {max_epochs: 1}}
evaluation: {max_ablation_users: 5, num_resamples: 100}
pipeline: {k: 5}
"""
"""For many nights."""

RELEASED = ("release", "report")
"""What a night makes of its registry; without these a copied lake is a night that was stopped before its end."""
LISTED = ("bundle", "recommendations", "evaluation", *RELEASED)
"""From the lists on."""
LEARNT = ("towers", "embeddings", "index", "ranker", *LISTED)
"""From the towers on; what Spark makes stands."""
COUNTED = "interactions", "popularity", "als_user_factors", "als_item_factors", "item_similarity", *LEARNT
"""From Spark on; the log stands, and the features, which take Spark longest."""


@dataclass
class Running:
    """A command under way."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def wait(self, timeout: float = 850) -> subprocess.CompletedProcess[str]:
        """Its end, with all that it printed."""
        code = self.process.wait(timeout)
        return subprocess.CompletedProcess(self.process.args, code, self.out.read_text(), self.err.read_text())


@dataclass
class Home:
    """A home with a config, and the command run in it."""

    path: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.path / "night.yaml"

    @property
    def printed(self) -> Path:
        """What the command that made a shared home has printed."""
        return self.path / "printed"

    def variables(self, **more: str) -> dict[str, str]:
        """Environment of a command."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("NIGHTJAR", "PREFECT", "TMPDIR"))}
        return env | {"NIGHTJAR_HOME": str(self.path / "home"), "COLUMNS": "200", **self.environment, **more}

    def command(self, *arguments: str, **environment: str) -> Running:
        """Start `nightjar ...` in a process group of its own."""
        # Files, not pipes: what outlives a killed run would hold a pipe open, and the reader would wait for it.
        names = [self.path / f"{secrets.token_hex(4)}.{kind}" for kind in ("out", "err")]
        with names[0].open("w") as out, names[1].open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "flows", *arguments],
                cwd=ROOT,
                env=self.variables(**environment),
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        return Running(process, *names)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `nightjar ...` to its end, in a process of its own."""
        return self.command(*arguments, **environment).wait()

    def night(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("run", str(self.config), *arguments, **environment)

    def ask(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `nightjar ...` in this process: for commands that start no server and no night, seconds faster."""
        from flows.__main__ import run
        from flows.service import own_server

        out, err = io.StringIO(), io.StringIO()
        with _environment(self.variables(**environment)), chdir(ROOT), redirect_stdout(out), redirect_stderr(err):
            code = run(arguments)
        assert own_server._Server.process is None, "a command that starts a server needs a process of its own"
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    def digests(self) -> dict[str, str]:
        """Content digest of everything in the lake, by dataset and date."""
        manifests = [json.loads(p.read_text()) for p in (self.path / "home/lake").glob("*/date=*/*/manifest.json")]
        return {f"{m['dataset']} {m['date']} {m['key']}": m["content_digest"] for m in manifests}

    def record(self) -> dict[str, Any]:
        """Of the last run."""
        return dict(json.loads(sorted((self.path / "home/runs").glob("*/run.json"))[-1].read_text()))

    def states(self) -> dict[str, str]:
        return {s["step"]: s["state"] for s in self.record()["steps"]}

    def ran(self) -> set[str]:
        """Stages that the last run ran."""
        return {name for name, state in self.states().items() if state == "ran"}

    def processes(self) -> list[psutil.Process]:
        """Everything alive that belongs to this home."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("NIGHTJAR_HOME") == str(self.path / "home"):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def left_running(self, patience_s: float = 15) -> list[list[str]]:
        """Command lines of what is still alive; what was killed has a moment to be gone."""
        until = time.monotonic() + patience_s
        while self.processes() and time.monotonic() < until:
            time.sleep(0.1)
        left = []
        for process in self.processes():
            with suppress(psutil.Error):
                left.append(process.cmdline()[:6])
        return left


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """These environment variables and no others, for a while."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def make_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Home]]:
    """Makes homes that are empty but for a config; at the end nothing of them runs on.

    Each night starts a Prefect server of its own, or uses the one of the fixture `prefect` that it is given.
    """
    homes: list[Home] = []

    def make(config: str = SMALL, prefect: str = "") -> Home:
        home = Home(tmp_path_factory.mktemp("night"), {"PREFECT_API_URL": prefect} if prefect else {})
        home.config.write_text(config)
        homes.append(home)
        return home

    yield make
    for home in homes:
        for process in home.processes():
            process.kill()


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """API of a Prefect server that nights may share: starting their own is half of a cached night's processor time."""
    folder, port = tmp_path_factory.mktemp("prefect"), free_port()
    (folder / "prefect").mkdir()
    make_database(folder)
    with serving(folder, "flows.service.prefect_server", str(port), **variables(folder) | ENVIRONMENT):
        wait_for(f"http://127.0.0.1:{port}/api/health")
        yield f"http://127.0.0.1:{port}/api"


DAYS = "2026-01-12", "2026-01-14"
"""Of the backfill that tests share; the first is the day of the golden night."""


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home in which one night has run, made once for the whole suite; it is read, and never written to."""
    return _shared(tmp_path_factory, "golden", lambda home: home.night())


@pytest.fixture(scope="session")
def golden_days(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The same with a backfill of three days, two of them side by side; what it printed is in `printed`."""

    def fill(home: Home) -> subprocess.CompletedProcess[str]:
        options = ("--config", str(home.config), "--max-parallel", "2")
        return home.run("backfill", *DAYS, *options)

    return _shared(tmp_path_factory, "golden-days", fill)


def _shared(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Home], subprocess.CompletedProcess[str]]
) -> Home:
    """A home that the first process of the suite makes and the others find."""
    base = factory.getbasetemp()
    # Two processes of one suite have neighbouring folders.
    home = Home((base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / name)
    with FileLock(home.path.with_suffix(".lock")):
        if not home.printed.exists():
            shutil.rmtree(home.path, ignore_errors=True)
            home.path.mkdir()
            home.config.write_text(SMALL)
            done = make(home)
            assert done.returncode == 0, done.stdout + done.stderr
            home.printed.write_text(done.stdout)
    return home


@pytest.fixture(scope="session")
def continued(golden: Home, make_home: Callable[..., Home]) -> Callable[..., Home]:
    """Makes homes in which the nights of a shared home were stopped before these datasets: those alone are made."""

    def make(without: tuple[str, ...] = RELEASED, of: Home = golden, prefect: str = "") -> Home:
        home, lake = make_home(prefect=prefect), str(of.path / "home/lake")
        shutil.copytree(lake, home.path / "home/lake", ignore=lambda at, _: without if at == lake else ())
        shutil.copytree(of.path / "home/data-docs", home.path / "home/data-docs")
        return home

    return make
