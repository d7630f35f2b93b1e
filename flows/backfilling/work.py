"""The work list of a backfill: stage by day, from what the lake holds; nothing runs and nothing is written here."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date as Date
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Literal

from expectations.errors import UserError
from flows.backfilling.request import BackfillRequest, Rerun
from flows.night.plan import NoSuchStage, Plan
from flows.night.records import RunRecord
from flows.night.request import NightRequest, Planner
from flows.night.sources import NightSource, open_source
from tasks.engine.explain import explain_cell
from tasks.engine.lake import Lake, Ref
from tasks.engine.stage import Cell, Step

Kind = Literal["cached", "missing", "stale"]

NOT_DONE = ("failed", "interrupted", "cancelled")
"""States of a run that did not get to its end."""


@dataclass(frozen=True)
class StageWork:
    """One stage of one day: the artifacts that no earlier night of the backfill makes already.

    Attributes:
        cells: calls whose artifacts are not there.
        kind: `stale` when something was made once for these dates, from other settings, code or inputs.
        seconds: estimated from past runs; None when it never ran.
    """

    stage: str
    kind: Kind
    cells: tuple[Cell, ...]
    why: str
    seconds: float | None


@dataclass(frozen=True)
class DayWork:
    """One logical day.

    Attributes:
        plan: None when there can be no night of this day; `refused` says why.
        failed: error of the day's last run, when that failed.
    """

    day: str
    plan: Plan | None
    stages: tuple[StageWork, ...] = ()
    refused: str = ""
    failed: str = ""

    @property
    def kinds(self) -> set[Rerun]:
        """Why the day may have to run."""
        found: set[Rerun] = {"missing"} if any(s.kind == "missing" for s in self.stages) else set()
        if any(s.kind == "stale" for s in self.stages):
            found.add("stale")
        return found | ({"failed"} if found and self.failed else set())

    def runs(self, rerun: tuple[Rerun, ...]) -> bool:
        """Whether it is among the days asked for."""
        return self.plan is not None and ("all" in rerun or bool(self.kinds & set(rerun)))

    @property
    def seconds(self) -> float | None:
        """Estimated seconds of all that is to run, one stage after the other; None when nothing is known."""
        known = [s.seconds for s in self.stages if s.kind != "cached" and s.seconds is not None]
        return sum(known) if known else None

    @property
    def is_estimated_whole(self) -> bool:
        """Whether every stage that is to run has run before; `seconds` is a lower bound otherwise."""
        return all(s.seconds is not None for s in self.stages if s.kind != "cached")


@dataclass(frozen=True)
class Holdings:
    """What the lake holds, listed once: one listing a dataset instead of a look at every artifact."""

    lake: Lake
    _keys: dict[str, dict[str, set[str]]] = field(default_factory=dict)

    def keys(self, dataset: str, date: str) -> set[str]:
        """Keys of the artifacts of a dataset and date."""
        if dataset not in self._keys:
            dates: dict[str, set[str]] = {}
            for ref in self.lake.refs(dataset):
                dates.setdefault(ref.date, set()).add(ref.key)
            self._keys[dataset] = dates
        return self._keys[dataset].get(date, set())

    def has(self, ref: Ref) -> bool:
        return ref.key in self.keys(ref.dataset, ref.date)

    def kind(self, cell: Cell, plan: Plan, before: RunRecord | None) -> Kind:
        """How a call's artifacts stand, `before` being the last run of the same night."""
        if all(self.has(ref) for ref in cell.refs):
            return "cached"
        if before:
            made = {folder.rpartition("/")[0] for folders in before.refs.values() for folder in folders}
            return "stale" if any(ref.folder.rpartition("/")[0] in made for ref in cell.refs) else "missing"
        # Of a day before the cut there is an artifact for each window that ends there, each with a key of its own.
        if cell.date < plan.days.cut and len(plan.step(cell.stage.name).cells) == 2:
            return "missing"
        return "stale" if any(self.keys(ref.dataset, ref.date) for ref in cell.refs) else "missing"


class Estimates:
    """Seconds that a stage takes for one artifact, from past runs: their median, so one busy night says little."""

    def __init__(self, runs: list[RunRecord]) -> None:
        self._seconds: dict[str, list[float]] = {}
        for step in (s for run in runs for s in run.steps if s["state"] == "ran"):
            self._seconds.setdefault(step["step"], []).append(step["seconds"] / max(step["ran"], 1))

    def __call__(self, stage: str, cells: int) -> float | None:
        known = self._seconds.get(stage)
        return median(known) * cells if known else None


@dataclass(frozen=True)
class WorkList:
    """Every day of a request in the order in which they run, looked at when it is iterated over."""

    request: BackfillRequest
    home: Path
    lake: Lake
    runs: list[RunRecord]
    planner: Planner

    @cached_property
    def source(self) -> NightSource:
        return open_source(self.request.night, self.home)

    def night(self, day: str) -> NightRequest:
        """The request of one night."""
        return NightRequest(
            config=self.request.night,
            date=Date.fromisoformat(day),
            lake=self.request.lake,
            stages=self.request.stages,
            config_name=self.request.config_name,
            overrides=self.request.overrides,
        )

    def days(self, only: set[str] | None = None) -> Iterator[DayWork]:
        """The work of each day (of those in `only`).

        Raises:
            NoSuchStage: there is none of such a name.
        """
        holdings, estimates, listed = Holdings(self.lake), Estimates(self.runs), set[tuple[str, str]]()
        last = {run.date: run for run in self.runs if run.lake_in(self.home) == self.request.lake}
        for day in self.request.days:
            if only is not None and day not in only:
                continue
            try:
                plan = self.planner(self.night(day), self.home, self.source)
            except NoSuchStage:  # of no day
                raise
            except UserError as error:
                yield DayWork(day, None, refused=str(error))
                continue
            before = last.get(day)
            stages = tuple(self._stage(plan, step, before, holdings, estimates, listed) for step in plan.steps)
            failed = (
                before.error or before.state
                if before and before.state in ("failed", "interrupted", "cancelled")
                else ""
            )
            yield DayWork(day, plan, stages, failed=failed)

    def _stage(
        self,
        plan: Plan,
        step: Step,
        before: RunRecord | None,
        holdings: Holdings,
        estimates: Estimates,
        listed: set[tuple[str, str]],
    ) -> StageWork:
        """The part of a step that no night before it in the list has."""
        new = [c for c in step.cells if (step.name, c.key) not in listed]
        listed |= {(step.name, c.key) for c in new}
        kinds = {c.key: holdings.kind(c, plan, before) for c in new} if "all" not in self.request.rerun else {}
        cells = tuple(c for c in new if kinds.get(c.key) != "cached")
        if not cells:
            why = "nothing that decides it has changed" if new else "an earlier night of this backfill makes it"
            return StageWork(step.name, "cached", (), why, None)
        kind: Kind = "stale" if "stale" in kinds.values() or not kinds else "missing"
        example = next((c for c in cells if kinds.get(c.key) == "stale"), cells[0])
        why = "asked for by --rerun all" if not kinds else "; ".join(explain_cell(self.lake, example).reasons[:3])
        return StageWork(step.name, kind, cells, why, estimates(step.name, len(cells)))
