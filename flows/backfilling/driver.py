"""Runs the days of a backfill: in order, some side by side, each a night of its own with its state on disk."""

import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from prefect import tags

from expectations.errors import Failure, UserError
from flows.backfilling.listener import Listener
from flows.backfilling.pool import Cancelled, Gone, Lost, Withdrawn, run_in_pool
from flows.backfilling.prefect_runs import api_answers
from flows.backfilling.request import Rerun
from flows.backfilling.state import CANCELLED, Backfill, DayState, StageState, State
from flows.backfilling.watcher import DayWatcher
from flows.backfilling.work import DayWork, WorkList
from flows.night.plan import Plan
from flows.night.request import NightRequest
from flows.night.run import Process, run
from flows.outages import Outage
from tasks.engine.lake import Lake, Ref

LOST_AT_MOST = 3
"""How often a night whose worker was killed is handed out again."""


@dataclass
class Driver:
    """Runs what is open of one backfill; there is one at a time.

    Nights wait for each other where they share work: the lake lets one of them make an artifact and the others find it.
    """

    backfill: Backfill
    work: WorkList
    lake: Lake
    listener: Listener
    process: Process

    def __post_init__(self) -> None:
        self._states: dict[str, DayState] = {}
        self._lock = threading.RLock()
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
                    self._stopped = CANCELLED
                while waiting and len(running) < parallel:
                    running.add(pool.submit(self._day, waiting.pop()))
                ended, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for day in ended:
                    day.result()
        if self._gone:
            raise Failure(self._gone)

    def _day(self, work: DayWork) -> None:
        assert work.plan is not None
        if why := self._stopped or self._gone or self._blocked(work.plan):
            return self._move(work.day, "planned" if self._gone else "skipped", why)
        error, lost, attempts = self._attempt(work, work.plan), 0, 0
        while error is not None and not self._stopped:
            if isinstance(error, Gone):
                self._gone = (
                    "Prefect's server does not answer any more; what was published stands. Start it again "
                    f"(nightjar up), then: nightjar backfill resume {self.backfill.id}"
                )
                return self._interrupt(work.day, self._gone)
            lost, attempts = lost + isinstance(error, Lost), attempts + (not isinstance(error, Lost))
            is_for_good = isinstance(error, UserError | Cancelled)
            if is_for_good or attempts > self.backfill.request.retries or lost > LOST_AT_MOST:
                break
            error = self._attempt(work, work.plan)
        if error is None:
            return None
        if isinstance(error, Withdrawn):
            return self._move(work.day, "skipped", self._stopped)
        if self._stopped == CANCELLED:
            return self._interrupt(work.day, CANCELLED)
        if isinstance(error, Cancelled):
            return self._interrupt(work.day, str(error))
        self._remember_failure(work.plan, work.day)
        if self.backfill.request.on_failure == "stop":
            self._stopped = f"stopped, as {work.day} failed"
        return self._move(work.day, "failed", str(error))

    def _attempt(self, work: DayWork, plan: Plan) -> Exception | None:
        """One try of a day; its error, or None."""
        state = self._states[work.day]
        state.attempts += 1
        try:
            if self.backfill.request.on == "pool":
                self._move(work.day, "queued")
                run_in_pool(self.backfill, work.day, lambda: bool(self._stopped))
                # The worker has kept the day's file, where it works in this home.
                state = self._states[work.day] = self.backfill.day(work.day)
                self._move(work.day, "succeeded")
            else:
                request, watcher = self._request(work, plan), DayWatcher(state, self._save)
                with tags(self.backfill.tag, f"day:{work.day}"):
                    watcher.watch(request.id, lambda: run(request, plan, self.backfill.home, watcher, self.process))
        except Exception as error:
            self._states[work.day] = self.backfill.day(work.day)
            told = isinstance(error, UserError | Failure) and not isinstance(error, Outage)
            return error if told or api_answers() else Gone(str(error))
        return None

    def _request(self, work: DayWork, plan: Plan) -> NightRequest:
        # Data Docs of all the days are built once, at the end.
        request = replace(self.work.night(work.day), build_docs=False, promotes=False)
        if "all" in self.backfill.request.rerun:
            request = replace(request, force=tuple(s.name for s in plan.steps), made_since=self.backfill.created)
        return request

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
        for day, own in list(self._states.items()):
            # A worker that has taken a day keeps its file.
            state = self.backfill.day(day) if own.state == "queued" else own
            if state.state == "running":
                state.interrupt(why)
            elif state.state == "queued":
                state.state, state.reason = ("skipped", CANCELLED) if self.backfill.is_cancelled else ("planned", "")
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
