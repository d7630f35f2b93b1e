"""Runs the days of a backfill: in order, some side by side, each a night of its own with its state on disk."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from prefect import tags

from expectations.errors import Failure, UserError
from flows.backfilling.listener import Listener
from flows.backfilling.prefect_runs import api_answers
from flows.backfilling.request import Rerun
from flows.backfilling.state import Backfill, DayState, StageState, State
from flows.backfilling.work import DayWork, WorkList
from flows.plan import Plan
from flows.run import Started, execute, start, warm_up
from tasks.lake import Lake, Ref
from tasks.machine import Machine
from tasks.processes import owner_tag
from tasks.running import Outcome, Watcher
from tasks.stage import Step


@dataclass
class Driver:
    """Runs what is open of one backfill; there is one at a time.

    Nights wait for each other where they share work: the lake lets one of them make an artifact and the others find it.
    """

    backfill: Backfill
    work: WorkList
    lake: Lake
    listener: Listener
    machine: Machine = field(init=False)

    def __post_init__(self) -> None:
        self.machine = Machine(self.work.config.resources)
        self._states: dict[str, DayState] = {}
        self._lock = threading.RLock()
        self._threads: list[threading.Thread] = []
        self._failed_refs: dict[Ref, str] = {}
        self._stopped = ""
        self._gone = ""

    # --- the work list -----------------------------------------------------------------------------------------

    def plan(self) -> list[DayWork]:
        """Look at every day that has not succeeded, and write down what it has to do."""
        before = {d.day: d for d in self.backfill.days()}
        open_days = {d.day for d in before.values() if d.state != "succeeded"}
        todo = []
        for work in self.work.days(open_days):
            state = self._states[work.day] = before[work.day]
            _describe(state, work, self.work.request.rerun)
            if state.state == "planned":
                todo.append(work)
            self._save(state)
        self._states = {**before, **self._states}
        self.listener.planned(sorted(self._states.values(), key=lambda d: d.day))
        return todo

    # --- running -----------------------------------------------------------------------------------------------

    def run(self, todo: list[DayWork]) -> None:
        """Run the days.

        Raises:
            Failure: Prefect's server has gone; the days it took with it are interrupted.
        """
        parallel = self.backfill.request.max_parallel
        waiting = list(reversed(todo))
        for work in todo:
            self._move(work.day, "queued")
        running: set[Future[None]] = set()
        with ThreadPoolExecutor(parallel, "night") as pool:
            while waiting or running:
                if self.backfill.is_cancelled:
                    self._stopped = "cancelled"
                while waiting and len(running) < parallel:
                    running.add(pool.submit(self._day, waiting.pop()))
                running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED).not_done
        if self._gone:
            raise Failure(self._gone)

    def _day(self, work: DayWork) -> None:
        assert work.plan is not None
        if why := self._stopped or self._gone or self._blocked(work.plan):
            return self._move(work.day, "planned" if self._gone else "skipped", why)
        for attempt in range(self.backfill.request.retries + 1):
            error = self._attempt(work, work.plan)
            if error is None:
                return None
            if self._gone:
                return self._interrupt(work.day, self._gone)
            if isinstance(error, UserError) or attempt == self.backfill.request.retries or self._stopped:
                break
        self._remember_failure(work.plan, work.day)
        if self.backfill.request.on_failure == "stop":
            self._stopped = f"stopped, as {work.day} failed"
        return self._move(work.day, "failed", str(error))

    def _attempt(self, work: DayWork, plan: Plan) -> BaseException | None:
        """One try of a day; its error, or None."""
        state, began = self._states[work.day], time.monotonic()
        with self._lock:
            state.attempts += 1
            state.state, state.reason, state.owner = "running", "", owner_tag()
            self._save(state)
        try:
            started = self._start(work, plan)
            state.run = started.record.id
            with tags(self.backfill.tag, f"day:{work.day}"):
                execute(started, DayWatcher(state, self._save))
        except (Exception, SystemExit) as error:
            if not api_answers():
                self._gone = (
                    "Prefect's server does not answer any more; what was published stands. Start it again "
                    f"(nightjar up), then: nightjar backfill resume {self.backfill.id}"
                )
            return error
        with self._lock:
            state.seconds = time.monotonic() - began
            state.version = started.record.release.get("version")
            state.state = "succeeded"
            self._save(state)
        return None

    def _start(self, work: DayWork, plan: Plan) -> Started:
        request = self.work.night(work.day)
        if "all" in self.backfill.request.rerun:
            request = replace(request, force=tuple(s.name for s in plan.steps), made_since=self.backfill.created)
        with self._lock:
            started = start(request, self.backfill.home, plan, self.machine)
            if not self._threads:
                warm_up(started)
                self._threads = started.threads
            started.threads = self._threads
        return started

    # --- failures ----------------------------------------------------------------------------------------------

    def _remember_failure(self, plan: Plan, day: str) -> None:
        """Keep what the first stage that failed should have made: who needs the very same would fail so too."""
        state = self._states[day]
        for step in plan.steps:
            if step.name in state.stages and state.stages[step.name].state == "failed":
                for ref in (r for c in step.cells for r in c.refs if not self.lake.stands(r)):
                    self._failed_refs[ref] = f"{step.name} of {ref.date} failed in the night of {day}"
                return

    def _blocked(self, plan: Plan) -> str:
        """Why a night cannot succeed, if something it is made of has failed already."""
        refs = (ref for step in plan.steps for cell in step.cells for ref in cell.refs)
        return next((self._failed_refs[ref] for ref in refs if ref in self._failed_refs), "")

    # --- states ------------------------------------------------------------------------------------------------

    def _move(self, day: str, to: State, reason: str = "") -> None:
        with self._lock:
            state = self._states[day]
            state.state, state.reason = to, reason
            self._save(state)

    def _interrupt(self, day: str, why: str) -> None:
        with self._lock:
            self._states[day].interrupt(why)
            self._save(self._states[day])

    def interrupt(self, why: str) -> None:
        """Write down that the process ends now: what runs is interrupted, what waits stays open or is cancelled."""
        for state in list(self._states.values()):
            if state.state == "running":
                state.interrupt(why)
            elif state.state == "queued":
                state.state, state.reason = ("skipped", "cancelled") if self.backfill.is_cancelled else ("planned", "")
            else:
                continue
            self.backfill.save(state)
        self.listener.interrupted()

    def _save(self, state: DayState) -> None:
        with self._lock:
            self.backfill.save(state)
        self.listener.changed(state)


def _describe(state: DayState, work: DayWork, rerun: tuple[Rerun, ...]) -> None:
    """Write the work of a day into its state."""
    state.stages = {
        s.stage: StageState(
            "skipped" if s.kind == "cached" else "stale" if s.kind == "stale" else "planned",
            ("cached: " if s.kind == "cached" else "") + s.why,
            len(s.cells),
            seconds=s.seconds,
        )
        for s in work.stages
    }
    state.reason = ""
    if work.plan is None:
        state.state, state.reason = "skipped", work.refused
    elif state.attempts or work.runs(rerun):
        # A day that did not get to its end is run again though all may stand: its pointers and report come last.
        state.state = "planned"
    elif not work.kinds:
        state.state, state.reason = "skipped", "cached: nothing that decides it has changed"
    else:
        state.state = "stale" if "stale" in work.kinds else "skipped"
        state.reason = f"{', '.join(sorted(work.kinds))}, not asked for by --rerun {','.join(rerun)}"


@dataclass
class DayWatcher(Watcher):
    """Keeps the stages of a day's state while its night runs."""

    state: DayState
    save: Callable[[DayState], None]

    def started(self, step: Step, missing: int) -> None:
        self._set(step.name, "running", artifacts=missing)

    def finished(self, outcome: Outcome) -> None:
        ran = outcome.state == "ran"
        before = self.state.stages.get(outcome.step, StageState())
        reason = before.reason if ran else "cached: another run made it" if before.artifacts else before.reason
        self._set(
            outcome.step, "succeeded" if ran else "skipped", reason=reason, rows=outcome.rows, seconds=outcome.seconds
        )

    def failed(self, step: Step, error: BaseException) -> None:
        self._set(step.name, "failed", reason=str(error))

    def _set(self, stage: str, state: State, **values: object) -> None:
        found = self.state.stages.setdefault(stage, StageState())
        found.state = state
        for name, value in values.items():
            setattr(found, name, value)
        self.save(self.state)
