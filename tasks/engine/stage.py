"""What a stage is: a plain typed function that `@stage` turns into nodes of a plan, each with a key.

Calling a stage runs nothing. It returns a `Step` whose key follows from everything that decides its content, so a
whole night (or a year of them) can be planned, explained and compared with the lake before anything runs.
`tasks.engine.running` executes steps.
"""

import dataclasses
import hashlib
import inspect
import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import version
from typing import Any

from expectations import datasets
from expectations.datasets import DATASETS, Dataset, schema_digest
from tasks.engine.code_digest import Reached, reached
from tasks.engine.lake import Artifact, Ref

BASE_LIBRARIES = ("numpy", "pyarrow")

Inputs = Ref | tuple[Ref, ...]


@dataclass(frozen=True)
class Stage:
    """A function with the datasets it produces and what it asks for while it runs.

    Attributes:
        libraries: distributions whose version decides what comes out, besides numpy and pyarrow.
        memory_gib: what one call may hold at most at demo size; `tasks.engine.running` admits steps by it.
        parallel: the calls for several days are independent and may run in worker processes.
    """

    function: Callable[..., None]
    produces: tuple[str, ...]
    libraries: tuple[str, ...] = ()
    memory_gib: float = 1.0
    threads: int = 1
    parallel: bool = False

    @property
    def name(self) -> str:
        return self.function.__name__

    @cached_property
    def reached(self) -> Reached:
        """The code behind the function, and the datasets that it names."""
        return reached(self.function.__module__, self.function.__name__)

    @cached_property
    def named(self) -> frozenset[str]:
        """Datasets that it produces, and those whose declaration its code has a use for."""
        if "*" in self.reached.declared:  # it imports the whole module
            return frozenset(DATASETS)
        found = (DATASETS.get(n) or getattr(datasets, n, None) for n in self.reached.declared)
        return frozenset((*self.produces, *(d.name for d in found if isinstance(d, Dataset))))

    @cached_property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        parameters = dict(inspect.signature(self.function).parameters)
        del parameters["out"]
        return parameters

    def __call__(self, *, date: str, **arguments: Any) -> "Step":
        """Plan one call, for one logical date."""
        return self.over((date,), **arguments)

    def over(
        self, dates: Iterable[str], *, audited_against: Mapping[str, Ref] | None = None, **arguments: Any
    ) -> "Step":
        """Plan one call a date; an argument that is a function is called with the date to give its value."""
        cells = tuple(
            self._cell(date, {n: v(date) if inspect.isfunction(v) else v for n, v in arguments.items()})
            for date in dates
        )
        return Step(self, cells, dict(audited_against or {}))

    def _cell(self, date: str, arguments: dict[str, Any]) -> "Cell":
        bound = inspect.signature(self.function).bind(None, **arguments)
        bound.apply_defaults()
        given = {n: bound.arguments[n] for n in self._parameters}
        inputs = {n: v for n, v in given.items() if self._takes_artifacts(n)}
        return Cell(self, date, inputs, {n: v for n, v in given.items() if n not in inputs})

    def _takes_artifacts(self, name: str) -> bool:
        return self._parameters[name].annotation in (Artifact, tuple[Artifact, ...])


def stage(
    *,
    produces: tuple[str, ...],
    libraries: tuple[str, ...] = (),
    memory_gib: float = 1.0,
    threads: int = 1,
    parallel: bool = False,
) -> Callable[[Callable[..., None]], Stage]:
    """Make a function `f(out: Outputs, ..., config: SomeConfig) -> None` a stage named after it.

    Parameters annotated `Artifact` or `tuple[Artifact, ...]` are inputs; all others decide content by their value.
    """
    unknown = [name for name in produces if name not in DATASETS]
    if unknown:
        raise ValueError(f"{unknown} not declared in expectations/datasets.py")
    return lambda function: Stage(function, produces, libraries, memory_gib, threads, parallel)


@cache
def _version(library: str) -> str:
    return version(library).split("+")[0]


@dataclass(frozen=True)
class Cell:
    """One call of a stage, for one date: what goes in, and the key of what comes out."""

    stage: Stage = field(repr=False)
    date: str
    inputs: dict[str, Inputs]
    parameters: dict[str, Any]

    @cached_property
    def ingredients(self) -> dict[str, Any]:
        """Everything that decides the content, in a form that can be compared and explained."""
        from expectations.rules import rules_digest

        libraries = sorted({*BASE_LIBRARIES, *self.stage.libraries})
        read = {ref.dataset for value in self.inputs.values() for ref in as_refs(value)}
        return {
            "stage": self.stage.name,
            "date": self.date,
            "inputs": {n: [r.folder for r in as_refs(v)] for n, v in self.inputs.items()},
            "config": {n: _plain_settings(v) for n, v in self.parameters.items()},
            "code": self.stage.reached.digests,
            "schemas": {name: schema_digest(name) for name in sorted(self.stage.named | read)},
            "libraries": {name: _version(name) for name in libraries},
            "rules": {name: rules_digest(name) for name in self.stage.produces},
        }

    @cached_property
    def key(self) -> str:
        text = json.dumps(self.ingredients, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def refs(self) -> tuple[Ref, ...]:
        """The artifacts it makes."""
        return tuple(Ref(dataset, self.date, self.key) for dataset in self.stage.produces)


@dataclass(frozen=True)
class Step:
    """A node of the plan: the calls of one stage in one run, most often one, for `events` one a day."""

    stage: Stage
    cells: tuple[Cell, ...]
    audited_against: dict[str, Ref] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.stage.name

    def refs(self, dataset: str) -> tuple[Ref, ...]:
        """Artifacts of one dataset, one a date."""
        assert dataset in self.stage.produces, f"{self.name} does not produce {dataset}"
        return tuple(Ref(dataset, cell.date, cell.key) for cell in self.cells)

    def __getitem__(self, dataset: str) -> Ref:
        """The artifact of a dataset, of a step that has one date."""
        (ref,) = self.refs(dataset)
        return ref

    @property
    def artifacts(self) -> tuple[Ref, ...]:
        """All that a step makes."""
        return tuple(ref for cell in self.cells for ref in cell.refs)

    def at(self, date: str) -> "Step":
        """The part of the step for one date."""
        return dataclasses.replace(self, cells=tuple(c for c in self.cells if c.date == date))

    @property
    def needs(self) -> set[Ref]:
        """Artifacts that must stand before it runs."""
        read = {r for cell in self.cells for v in cell.inputs.values() for r in as_refs(v)}
        return read | set(self.audited_against.values())


def as_refs(value: Inputs) -> tuple[Ref, ...]:
    """One reference or several, as a tuple."""
    return (value,) if isinstance(value, Ref) else value


def _plain_settings(value: Any) -> Any:
    """As `plain`; the settings of a section, which decide thousands of cells of a long plan, are turned once."""
    is_settings = dataclasses.is_dataclass(value) and isinstance(value, Hashable)
    return _plain_once(value) if is_settings else plain(value)


@cache
def _plain_once(value: Any) -> Any:
    return plain(value)


def plain(value: Any) -> Any:
    """A settings value as JSON types; a class may name settings that are left out while they are as by default.

    Such are the settings of what may be added to a night: whoever does not ask for it has the keys of before.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        optional = getattr(value, "LEFT_OUT_BY_DEFAULT", {})
        given = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {n: plain(v) for n, v in given.items() if n not in optional or v != optional[n]}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    return str(value)
