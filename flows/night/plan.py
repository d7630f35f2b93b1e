"""What a plan is: the steps of one night in order, and the days they are about."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from expectations.errors import UserError
from flows.config import Calendar
from tasks.engine.lake import Ref
from tasks.engine.stage import Inputs, Step, as_refs


@dataclass(frozen=True)
class Plan:
    """The steps of one night, in an order in which they can run, and the days they are about."""

    days: Calendar
    steps: list[Step] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    """What the source left out or found odd, one sentence each."""

    def add(self, step: Step) -> Step:
        self.steps.append(step)
        return step

    def step(self, name: str) -> Step:
        """The step of a stage."""
        return next(s for s in self.steps if s.name == name)

    def check_names(self, names: Iterable[str]) -> None:
        """Raises:
        UserError: there is no such stage.
        """
        known = [s.name for s in self.steps]
        for name in names:
            if name not in known:
                raise UserError(f"no stage {name!r}; stages: {', '.join(known)}")

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

    def refs_beside(self, named: Iterable[Inputs]) -> tuple[Ref, ...]:
        """Everything that the steps so far make, but for what is named already."""
        known = {ref for value in named for ref in as_refs(value)}
        return tuple(r for s in self.steps for c in s.cells for r in c.refs if r not in known)

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
    """The daily artifacts of the events step."""

    events: Step

    def watches(self, days: Iterable[str]) -> tuple[Ref, ...]:
        return self._of("watches", days)

    def impressions(self, days: Iterable[str]) -> tuple[Ref, ...]:
        """Empty for a log that has none."""
        return self._of("impressions", days) if "impressions" in self.events.stage.produces else ()

    def actions(self, days: Iterable[str]) -> tuple[Ref, ...]:
        """Empty for a log that has none."""
        return self._of("actions", days) if "actions" in self.events.stage.produces else ()

    def searches(self, days: Iterable[str]) -> tuple[Ref, ...]:
        """Empty for a log that has none."""
        return self._of("searches", days) if "searches" in self.events.stage.produces else ()

    def _of(self, dataset: str, days: Iterable[str]) -> tuple[Ref, ...]:
        wanted = set(days)
        return tuple(ref for ref in self.events.refs(dataset) if ref.date in wanted)
