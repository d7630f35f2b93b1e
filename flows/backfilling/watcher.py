"""Keeps a day's file while its night runs, in whatever process that is."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.backfilling.state import Backfill, DayState, StageState, State, find_backfill
from tasks.engine.running import Outcome, Watcher
from tasks.engine.stage import Step
from tasks.machine.processes import owner_tag


@dataclass
class DayWatcher(Watcher):
    """Writes what happens to the stages of one day, and to the day itself."""

    state: DayState
    save: Callable[[DayState], None]
    began: float = field(default_factory=time.monotonic)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def watch(self, run: str, night: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Call `night`, which has the record `run` and returns its summary; this process is the one to look for."""
        self._move("running", owner=owner_tag(), run=run)
        try:
            summary = night()
        except Exception as error:
            self._move("failed", str(error))
            raise
        release = {"version": summary.get("version"), "digest": summary.get("digest", "")}
        self._move("succeeded", seconds=time.monotonic() - self.began, **release)
        return summary

    def _move(self, to: State, reason: str = "", **values: object) -> None:
        with self.lock:
            self.state.state, self.state.reason = to, reason
            for name, value in values.items():
                setattr(self.state, name, value)
            self.save(self.state)

    def started(self, step: Step, missing: int) -> None:
        self._set(step.name, "running", artifacts=missing)

    def finished(self, outcome: Outcome) -> None:
        before = self.state.stages.get(outcome.step, StageState())
        if outcome.state == "ran":
            self._set(outcome.step, "succeeded", rows=outcome.rows, seconds=outcome.seconds)
        else:
            reason = "cached: another night made it" if before.artifacts else before.reason
            self._set(outcome.step, "skipped", reason=reason, rows=outcome.rows, seconds=outcome.seconds)

    def failed(self, step: Step, error: BaseException) -> None:
        self._set(step.name, "failed", reason=str(error))

    def _set(self, stage: str, state: State, **values: object) -> None:
        with self.lock:
            found = self.state.stages.setdefault(stage, StageState())
            found.state = state
            for name, value in values.items():
                setattr(found, name, value)
            self.save(self.state)


def watcher_by_tags(home: Path, tags: list[str]) -> DayWatcher | None:
    """The watcher of the day that the tags of a Prefect run name, if its backfill is one of this home."""
    named = dict(tag.split(":", 1) for tag in tags if tag.startswith(("backfill:", "day:")))
    if set(named) != {"backfill", "day"} or not (home / "backfills" / named["backfill"]).is_dir():
        return None
    one: Backfill = find_backfill(home, named["backfill"])
    return DayWatcher(one.day(named["day"]), one.save)
