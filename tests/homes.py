"""Whole nights, run as a user runs them: the command, in a home of its own, on a small made world."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[1]

SMALL = """
world: {num_users: 150, num_items: 250, num_days: 12}
window: {train_days: 10, judge_days: 2, rank_days: 3}
als: {factors: 8, iterations: 2}
towers: {dim: 16, fit: {max_epochs: 1}}
ranker: {fit: {max_epochs: 1}}
evaluation: {max_ablation_users: 20, num_resamples: 100}
pipeline: {k: 10}
"""


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

    def command(self, *arguments: str, **environment: str) -> Running:
        """Start `nightjar ...` in a process group of its own."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("NIGHTJAR", "PREFECT", "TMPDIR"))}
        env |= {"NIGHTJAR_HOME": str(self.path / "home"), "COLUMNS": "200", **self.environment, **environment}
        # Files, not pipes: what outlives a killed run would hold a pipe open, and the reader would wait for it.
        names = [self.path / f"{secrets.token_hex(4)}.{kind}" for kind in ("out", "err")]
        with names[0].open("w") as out, names[1].open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "flows", *arguments],
                cwd=ROOT,
                env=env,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        return Running(process, *names)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `nightjar ...` to its end."""
        return self.command(*arguments, **environment).wait()

    def night(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("run", str(self.config), *arguments, **environment)

    def digests(self) -> dict[str, str]:
        """Content digest of everything in the lake, by dataset and date."""
        manifests = [json.loads(p.read_text()) for p in (self.path / "home/lake").glob("*/date=*/*/manifest.json")]
        return {f"{m['dataset']} {m['date']} {m['key']}": m["content_digest"] for m in manifests}

    def record(self) -> dict[str, Any]:
        """Of the last run."""
        return dict(json.loads(sorted((self.path / "home/runs").glob("*/run.json"))[-1].read_text()))

    def states(self) -> dict[str, str]:
        return {s["step"]: s["state"] for s in self.record()["steps"]}

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


@pytest.fixture(scope="session")
def make_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Home]]:
    homes: list[Home] = []

    def make() -> Home:
        home = Home(tmp_path_factory.mktemp("night"))
        home.config.write_text(SMALL)
        homes.append(home)
        return home

    yield make
    for home in homes:
        for process in home.processes():
            process.kill()


@pytest.fixture(scope="session")
def undisturbed(make_home: Callable[[], Home]) -> Home:
    """A home in which one night has run, with nothing in its way."""
    home = make_home()
    done = home.night()
    assert done.returncode == 0, done.stdout + done.stderr
    return home
