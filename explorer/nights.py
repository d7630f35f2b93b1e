"""Nights that the explorer starts: one at a time, each in a process of its own, followed by what it tells."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from expectations.errors import UserError
from expectations.files import write_json
from expectations.processes import end
from explorer.child import ERROR, EVENTS, REQUEST
from flows.config import NightlyConfig
from flows.night.records import new_id
from tasks.engine.stage import plain

ROOT = Path(__file__).resolve().parent.parent
DATA = ("events",)
"""Stages of a run that makes or reads data and trains nothing, with what they need."""
PATIENCE_S = 15.0
OUTPUT = "output.txt"


@dataclass
class Stage:
    """A line of the progress."""

    name: str
    state: str = "waiting"
    seconds: float = 0.0
    rows: int = 0
    done: int = 0
    total: int = 0
    what: str = ""


@dataclass
class NightProgress:
    """How a night stands. `state`: running, succeeded, failed or cancelled."""

    title: str
    state: str
    seconds: float
    stages: list[Stage] = field(default_factory=list)
    error: str = ""
    version: int | None = None
    decision: str = ""
    log: str = ""


@dataclass
class Job:
    """A night that was started."""

    title: str
    folder: Path
    process: subprocess.Popen[bytes]
    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    cancelled: bool = False


class Nights:
    """The night at hand, of all who look at this home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.job: Job | None = None
        self._lock = threading.Lock()

    @property
    def is_running(self) -> bool:
        return self.job is not None and self.job.process.poll() is None

    def start(
        self, title: str, config: NightlyConfig, name: str, overrides: tuple[str, ...], stages: tuple[str, ...] = ()
    ) -> None:
        """Start a night.

        Args:
            name, overrides: the config's file and the values changed in it, for the record of the run.
            stages: only these and what they need.

        Raises:
            UserError: one is under way.
        """
        with self._lock:
            if self.is_running:
                raise UserError("a night is under way; wait for its end, or cancel it")
            folder = self.home / "tmp" / f"explorer-{new_id()}"
            folder.mkdir(parents=True)
            request = {"settings": json.loads(json.dumps(plain(config), default=str)), "config": name}
            write_json(folder / REQUEST, request | {"overrides": list(overrides), "stages": list(stages)})
            # Files, not pipes: what outlives a killed night would hold a pipe open.
            with (folder / OUTPUT).open("w") as out:
                process = subprocess.Popen(
                    [sys.executable, "-m", "explorer.child", str(folder)],
                    cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
                    env={**os.environ, "NIGHTJAR_HOME": str(self.home)},
                )  # fmt: skip
            self.job = Job(title, folder, process)

    def cancel(self) -> None:
        """End the night at hand, and wait for that; what it published stands."""
        job = self.job
        if job is None or job.process.poll() is not None:
            return
        job.cancelled = True
        with suppress(psutil.NoSuchProcess):  # it has just ended, and another thread has looked
            night = psutil.Process(job.process.pid)
            started = night.children(recursive=True)
            end([night], PATIENCE_S)
            end(started, 0)  # a night that had to be killed has ended nothing of its own
        job.process.wait()

    def look(self) -> NightProgress | None:
        """How the night at hand stands, or the last one ended; None before the first."""
        job = self.job
        if job is None:
            return None
        code = job.process.poll()
        if code is not None and not job.ended:
            job.ended = time.monotonic()
        ended = "cancelled" if job.cancelled else "succeeded" if code == 0 else "failed"
        progress = NightProgress(
            job.title, "running" if code is None else ended, (job.ended or time.monotonic()) - job.began
        )
        follow(_events(job.folder / EVENTS), progress)
        if progress.state == "failed":
            progress.error = _text(job.folder / ERROR) or _tail(job.folder / OUTPUT, 3) or f"it ended with code {code}"
        if progress.state != "running":
            for stage in progress.stages:
                stage.state = "not run" if stage.state in ("waiting", "running") else stage.state
        return progress


def follow(events: list[dict[str, Any]], progress: NightProgress) -> None:
    """Bring what was told into the lines of the progress."""
    stages: dict[str, Stage] = {}
    for event in events:
        if "steps" in event:
            stages = {name: Stage(name) for name in event["steps"]}
            progress.log = event["log"]
        elif "step" in event:
            stage = stages.setdefault(event["step"], Stage(event["step"]))
            for name in ("state", "seconds", "rows", "done", "total", "what"):
                setattr(stage, name, event.get(name, getattr(stage, name)))
        else:
            progress.version, progress.decision = event["version"], event["decision"]
    progress.stages = list(stages.values())


def tail(progress: NightProgress, num_lines: int = 12) -> str:
    """The end of the run's log."""
    return _tail(Path(progress.log), num_lines) if progress.log else ""


def last_settings(home: Path) -> tuple[dict[str, Any], str, tuple[str, ...]]:
    """Settings of the last run as (settings, config file, overrides): what a further training starts from."""
    from flows.night.records import last_run

    run = last_run(home)
    return run.settings, run.config, tuple(run.overrides)


def _events(file: Path) -> list[dict[str, Any]]:
    # The last line may be half written.
    lines = _text(file).split("\n")[:-1]
    return [json.loads(line) for line in lines]


def _text(file: Path) -> str:
    return file.read_text(errors="replace") if file.is_file() else ""


def _tail(file: Path, num_lines: int) -> str:
    return "\n".join([line for line in _text(file).splitlines() if line.strip()][-num_lines:])
