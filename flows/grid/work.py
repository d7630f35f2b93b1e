"""What a sweep has to do: which trained bundles its configurations share, and the steps that make them and judge.

Two configurations share a bundle when everything that goes into it is the same artifact: then they differ in settings
of the pipeline at most, which a loaded bundle takes without loading anything again.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date as Date
from pathlib import Path
from typing import Any

from flows.config import NightlyConfig
from flows.grid.rows import Row
from flows.night.plan import Plan
from flows.night.request import NightRequest
from flows.nightly import plan_request
from tasks.engine.lake import Artifact, Lake, Ref
from tasks.engine.stage import Cell, Step
from tasks.stages.groups import Yardsticks
from tasks.stages.trial import trial


@dataclass(frozen=True)
class Trial:
    """A configuration, planned.

    Attributes:
        step: judges it.
        before: the steps that must have run, in an order in which they can.
    """

    row: Row
    step: Step[Artifact]
    before: tuple[Step, ...]

    @property
    def ref(self) -> Ref:
        return self.step.made.ref

    @property
    def bundle(self) -> Ref:
        """The trained bundle that it is served by."""
        (ref,) = (r for r in self.step.needs if r.dataset == "bundle")
        return ref


@dataclass
class Planner:
    """Plans configurations; the first that needs a bundle decides its own settings, which no trial looks at.

    Attributes:
        night: the settings that all configurations have.
        date: logical day, by default that of the night.
    """

    night: NightlyConfig
    date: Date | None
    lake: str
    home: Path
    _bundles: dict[tuple[Any, ...], Step[Artifact]] = field(default_factory=dict)

    def plan(self, row: Row) -> Trial:
        """The steps of a configuration; runs nothing."""
        whole = self._night(row.config)
        bundle = whole.step("bundle").cells[0]
        package = self._bundle(bundle, row.config, whole)
        judged = whole.step("evaluation").cells[0]
        by = judged.inputs["by"]
        assert isinstance(by, Yardsticks)
        step = trial(
            judged.date,
            bundle=package.made,
            by=by,
            pipeline=bundle.parameters["config"],
            config=judged.parameters["config"],
        )
        others = [s for s in whole.steps if s.name not in ("bundle", "recommendations", "evaluation")]
        return Trial(row, step, (*others, package))

    def _night(self, config: NightlyConfig) -> Plan:
        request = NightRequest(config=config, date=self.date, lake=self.lake, stages=("evaluation",))
        return plan_request(request, self.home)

    def _bundle(self, own: Cell, config: NightlyConfig, whole: Plan) -> Step[Artifact]:
        """The step that makes the bundle of these trained parts.

        With the pipeline that all configurations have in common, where that asks for the same parts, so that a sweep
        over more values finds the bundles, and so the trials, of one over fewer.
        """
        parts = tuple(own.read.items())
        if parts not in self._bundles:
            common = self._night(dataclasses.replace(config, pipeline=self.night.pipeline)).step("bundle")
            same = tuple(common.cells[0].read.items()) == parts
            self._bundles[parts] = common if same else whole.step("bundle")
        return self._bundles[parts]


def distinct(steps: Iterable[Step]) -> list[Step]:
    """Every step once, in order; steps are the same when they make the same artifacts."""
    return list({tuple(cell.key for cell in s.cells): s for s in steps}.values())


def shared_steps(trials: Sequence[Trial]) -> list[Step]:
    """What has to run before these trials, each step once."""
    return distinct(step for one in trials for step in one.before)


def by_bundle(trials: Iterable[Trial]) -> dict[Ref, list[Trial]]:
    """Trials by the bundle that serves them, in the order of their first."""
    groups: dict[Ref, list[Trial]] = {}
    for one in trials:
        groups.setdefault(one.bundle, []).append(one)
    return groups


@dataclass(frozen=True)
class Amount:
    """How much of something there is to do, and how much stands already."""

    total: int
    standing: int


def amounts(trials: Sequence[Trial], lake: Lake) -> dict[str, Amount]:
    """Configurations, trained systems, trainings by stage: how many, and how many stand. Looks at manifests only."""
    steps = shared_steps(trials)

    def amount(refs: Iterable[Ref]) -> Amount:
        unique = set(refs)
        return Amount(len(unique), sum(lake.stands(ref) for ref in unique))

    counted = {"configurations": amount(t.ref for t in trials), "trained systems": amount(t.bundle for t in trials)}
    for name in dict.fromkeys(step.name for step in steps if step.stage.trains):
        refs = [cell.refs[0] for step in steps if step.name == name for cell in step.cells]
        counted[f"trainings of {name}"] = amount(refs)
    return counted
