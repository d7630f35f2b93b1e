"""Keeps a day's file while its night runs, in whatever process that is."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from flows.backfilling.state import Backfill, DayState, StageState, State, find_backfill
from tasks.processes import owner_tag
from tasks.running import Outcome, Watcher
from tasks.stage import Step


@dataclass
class DayWatcher(Watcher):
    """Writes what happens to the stages of one day, and to the day itself."""

    state: DayState
    save: Callable[[DayState], None]
    began: float = field(default_factory=time.monotonic)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def day_began(self, run: str) -> None:
        """The night has a record `run`; this process is the one to look for."""
        with self.lock:
            self.state.state, self.state.reason = "running", ""
            self.state.owner, self.state.run = owner_tag(), run
            self.save(self.state)

    def day_succeeded(self, version: int | None) -> None:
        with self.lock:
            self.state.state, self.state.version = "succeeded", version
            self.state.seconds = time.monotonic() - self.began
            self.save(self.state)

    def day_failed(self, error: BaseException) -> None:
        with self.lock:
            self.state.state, self.state.reason = "failed", str(error)
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
