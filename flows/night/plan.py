"""What a plan is: the steps of one night in order, and the days they are about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from expectations.errors import UserError
from flows.config import Calendar
from tasks.engine.groups import Input, artifacts_of
from tasks.engine.lake import Artifact, Ref
from tasks.engine.stage import Made, Step
from tasks.stages.groups import Events, Watched


class NoSuchStage(UserError):
    """A stage is asked for that no night has."""


@dataclass(frozen=True)
class Plan:
    """The steps of one night, in an order in which they can run, and the days they are about."""

    days: Calendar
    steps: list[Step[Any]] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    """What the source left out or found odd, one sentence each."""

    def add(self, step: Step[Made]) -> Made:
        """Add a step of one date; gives what it makes."""
        self._append(step)
        return step.made

    def add_dates(self, step: Step[Made]) -> dict[str, Made]:
        """Add a step of several dates; gives what it makes for each."""
        self._append(step)
        return step.by_date

    def _append(self, step: Step[Any]) -> None:
        if any(other.name == step.name for other in self.steps):
            raise ValueError(f"two stages are called {step.name!r}: a model of the catalogue has the name of a stage")
        self.steps.append(step)

    def step(self, name: str) -> Step[Any]:
        """The step of a stage."""
        return next(s for s in self.steps if s.name == name)

    @property
    def refs(self) -> set[Ref]:
        """Everything that its steps make."""
        return {ref for step in self.steps for cell in step.cells for ref in cell.refs}

    def check_names(self, names: Iterable[str]) -> None:
        """Raises:
        NoSuchStage: there is none of such a name.
        """
        known = [s.name for s in self.steps]
        for name in names:
            if name not in known:
                raise NoSuchStage(f"no stage {name!r}; stages: {', '.join(known)}")

    def up_to(self, names: Iterable[str]) -> "Plan":
        """These stages and whatever they need, at any distance.

        Raises:
            UserError: there is no such stage.
        """
        names = set(names)
        self.check_names(sorted(names))
        kept: list[Step] = []
        needed: set[Ref] = set()
        for step in reversed(self.steps):
            if step.name in names or any(ref in needed for cell in step.cells for ref in cell.refs):
                kept.insert(0, step)
                needed |= step.needs
        return replace(self, steps=kept)

    @property
    def is_whole(self) -> bool:
        """Whether it ends in a release and its report."""
        return self.steps[-1].name == "report"

    def artifacts_beside(self, told: Input) -> tuple[Artifact, ...]:
        """Everything that the steps so far make, but for what is told of already."""
        known = {artifact.ref for artifact in artifacts_of(told)}
        return tuple(Artifact(r) for s in self.steps for c in s.cells for r in c.refs if r not in known)

    def after(self, name: str) -> frozenset[str]:
        """A stage and every stage that reads, at any distance, what it makes."""
        found, made = {name}, {r for c in self.step(name).cells for r in c.refs}
        for step in self.steps:
            if step.name in found or step.needs & made:
                found.add(step.name)
                made |= {r for c in step.cells for r in c.refs}
        return frozenset(found)


@dataclass(frozen=True)
class Log:
    """What happened, by day. A log of somebody's own may have watches alone, and nothing of the rest.

    Attributes:
        beside: what is told apart from the days, by dataset.
    """

    days: Mapping[str, Watched]
    beside: Mapping[str, Mapping[str, Artifact]] = field(default_factory=dict)

    def watches(self, dates: Iterable[str]) -> tuple[Artifact, ...]:
        return tuple(self.days[date].watches for date in dates)

    def impressions(self, dates: Iterable[str]) -> tuple[Artifact, ...]:
        return self._other("impressions", dates)

    def actions(self, dates: Iterable[str]) -> tuple[Artifact, ...]:
        return self._other("actions", dates)

    def searches(self, dates: Iterable[str]) -> tuple[Artifact, ...]:
        return self._other("searches", dates)

    def _other(self, dataset: str, dates: Iterable[str]) -> tuple[Artifact, ...]:
        if dataset in self.beside:
            return tuple(self.beside[dataset][date] for date in dates)
        whole = (day for day in map(self.days.__getitem__, dates) if isinstance(day, Events))
        return tuple(getattr(day, dataset) for day in whole)
