"""How long a night and each of its stages may take, `resources.night_hours` and `resources.stage_hours`.

A library that hangs cannot be interrupted from Python. So the process is ended as a whole, by a small one beside it
(`flows/timekeeper.py`) that is told here what begins and ends.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import click

from flows.service.prefect_internals import FLOW_RUN
from tasks.engine.stage import Step
from tasks.machine.config import ResourcesConfig
from tasks.machine.processes import owner_tag

ROOT = Path(__file__).resolve().parents[2]


class _Timekeeper:
    """The process that keeps the time of this one; started when there is something to keep."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._flow_runs: dict[str, str] = {}
        self._listeners: dict[str, Callable[[], None]] = {}

    @contextmanager
    def keeps(
        self, key: str, hours: float, run: str, stage: str | None, words: str, listener: Callable[[], None]
    ) -> Iterator[None]:
        """Let something take so long and no longer; 0 for as long as it likes."""
        until = time.monotonic() + 3600 * hours if hours else None
        with self._lock:
            self._listeners[key] = listener
        self._tell({"begin": key, "until": until, "run": run, "stage": stage, "words": words}, begins=bool(hours))
        try:
            yield
        finally:
            self._tell({"end": key})
            with self._lock:
                self._listeners.pop(key, None)

    @property
    def flow_runs(self) -> list[str]:
        """Ids of the flow runs of Prefect that this process carries."""
        return list(self._flow_runs)

    @contextmanager
    def knows(self, flow_run: str, run: str = "") -> Iterator[None]:
        """Meanwhile a flow run of Prefect's ends as its night does; without a `run` as any night of this process."""
        above = os.environ.get(FLOW_RUN)
        self._flow_runs |= {id_: of for id_, of in ((above, ""), (flow_run, run)) if id_}
        self._tell({"flow_runs": self._flow_runs})
        try:
            yield
        finally:
            self._flow_runs.pop(flow_run, None)
            self._tell({"flow_runs": self._flow_runs})

    def _tell(self, message: dict[str, Any], begins: bool = False) -> None:
        with self._lock:
            new = self._process is None and begins
            if new:
                self._process = self._start()
            if self._process is None:
                return
            messages = [{"flow_runs": self._flow_runs}, message] if new else [message]
            assert self._process.stdin
            # Without it a night runs all the same.
            with suppress(OSError):
                self._process.stdin.write(b"".join(json.dumps(m).encode() + b"\n" for m in messages))
                self._process.stdin.flush()

    def _start(self) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.timekeeper", str(os.getpid()), owner_tag()],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A terminal's Ctrl-C is for the night, which ends it.
            start_new_session=True,
        )
        assert process.stdout
        threading.Thread(target=self._leave_when_told, args=(process.stdout,), daemon=True).start()
        return process

    def _leave_when_told(self, said: IO[bytes]) -> None:
        """Everything is written down already: say why, and go. What this process has started is ended after it."""
        line = said.readline()
        if not line:
            return
        with suppress(Exception):
            for listener in list(self._listeners.values()):
                listener()
        click.secho(f"error: {json.loads(line)}", fg="red", err=True)
        sys.stdout.flush()
        os._exit(1)


TIMEKEEPER = _Timekeeper()


@dataclass
class Limits:
    """Those of one night, or of a sweep.

    Attributes:
        what: words for it, such as `the night of 2026-03-01`.
        run: id of the night's record; empty for a sweep, which has no limit as a whole.
        listener: called when the process is about to be ended for one of them.
    """

    what: str
    run: str
    resources: ResourcesConfig
    listener: Callable[[], None]
    _number: Iterator[int] = field(default_factory=lambda: iter(range(10**9)))

    @contextmanager
    def night(self) -> Iterator[None]:
        """While the night runs, from its first stage to its report."""
        hours = self.resources.night_hours
        words = _words(self.what, hours, "resources.night_hours")
        with TIMEKEEPER.keeps(f"night {self.run}", hours, self.run, None, words, self.listener):
            yield

    @contextmanager
    def stage(self, step: Step[Any]) -> Iterator[None]:
        """While a stage runs; not while it waits for room or for another night that makes the same."""
        hours, key = self.resources.stage_hours, f"{self.run} {step.name} {next(self._number)}"
        words = _words(f"{step.name} of {self.what}", hours, "resources.stage_hours")
        with TIMEKEEPER.keeps(key, hours, self.run, step.name, words, self.listener):
            yield


def _words(what: str, hours: float, setting: str) -> str:
    lasted = f"{hours:g} h" if hours >= 1 else f"{3600 * hours:.0f} s"
    return (
        f"{what} took longer than {lasted}, which is all that {setting} ({hours:g}) allows, and was ended with all "
        "that it had started."
    )
