"""Ends a process whose night, or a stage of it, takes too long: `python -m flows.timekeeper PID OWNER`.

A process of its own, as whatever hangs may hold Python's lock, so that no thread of the night could do this. It reads
from its standard input what began and ended, a line of JSON each (`flows/night/time_limits.py` writes them), and goes
when that is closed. Once something is overdue, it writes down how everything ended that the process was at, tells
Prefect, has the process leave, and ends what is left of it and of all that it started. Imported late is what only that
needs: nearly every night ends in time.
"""

import json
import os
import select
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LEAVES_WITHIN_S = 5.0
"""How long the process may take to leave by itself; one that hangs with Python's lock never does."""


ADVICE = "What was published stands: see what it waits for, or allow more, and run the same command again"


@dataclass
class State:
    """What the process is at.

    Attributes:
        begun: messages of `begin`, by key.
        flow_runs: run record of each flow run of Prefect; empty for one that stands above nights.
    """

    begun: dict[str, dict[str, Any]] = field(default_factory=dict)
    flow_runs: dict[str, str] = field(default_factory=dict)

    def hear(self, line: bytes) -> None:
        message = json.loads(line)
        if "begin" in message:
            self.begun[message["begin"]] = message
        elif "end" in message:
            self.begun.pop(message["end"], None)
        elif "flow_runs" in message:
            self.flow_runs = message["flow_runs"]

    @property
    def next_end(self) -> float | None:
        """When the first of what is under way is overdue, by the monotonic clock."""
        return min((m["until"] for m in self.begun.values() if m["until"] is not None), default=None)

    def overdue(self) -> dict[str, Any] | None:
        now = time.monotonic()
        late = [m for m in self.begun.values() if m["until"] is not None and m["until"] <= now]
        # A stage says more than its night.
        return min(late, key=lambda m: m["stage"] is None, default=None)

    def sentence(self, message: dict[str, Any]) -> str:
        """What is told of something that is overdue; of a night also the stages that it was at."""
        at = [m["stage"] for m in self.begun.values() if m["stage"] and m["run"] == message["run"]]
        now = f" It was at {', '.join(at)}." if at and message["stage"] is None else ""
        return f"{message['words']}{now} {ADVICE}"


def keep(pid: int, owner: str) -> None:
    """Listen until the process has gone, or something is overdue."""
    state, rest = State(), b""
    while True:
        until = state.next_end
        patience = None if until is None else max(until - time.monotonic(), 0)
        if select.select([0], [], [], patience)[0]:
            read = os.read(0, 65536)
            if not read:
                return None
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                state.hear(line)
        elif message := state.overdue():
            return _end(pid, owner, state, message)


def _end(pid: int, owner: str, state: State, message: dict[str, Any]) -> None:
    import psutil

    from expectations.processes import end
    from flows.overdue import tell_prefect, write_down
    from tasks.machine.processes import leftovers

    home, sentence = Path(os.environ["NIGHTJAR_HOME"]), state.sentence(message)
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        started = process.children(recursive=True)
        with suppress(Exception):  # whatever cannot be written down or told: what hangs is ended
            write_down(home, owner, message["run"], message["stage"], sentence)
        with suppress(Exception):
            tell_prefect(state.flow_runs, message["run"], sentence)
        with suppress(OSError):
            os.write(1, json.dumps(sentence).encode() + b"\n")
        with suppress(psutil.TimeoutExpired):
            process.wait(LEAVES_WITHIN_S)
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            print(f"error: {sentence}", file=sys.stderr, flush=True)
            end([process], 0)
        own = os.getpid()
        end([p for p in [*started, *leftovers(str(home))] if p.pid != own], 1.0)


if __name__ == "__main__":
    keep(int(sys.argv[1]), sys.argv[2])
