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
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from importlib.metadata import version
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypedDict, TypeVar, Unpack, overload

from expectations import datasets
from expectations.datasets import DATASETS, Dataset, schema_digest
from tasks.engine.code_digest import Reached, reached
from tasks.engine.groups import Group, Input, is_input, named
from tasks.engine.lake import Artifact, Ref
from tasks.engine.outputs import Outputs

Trains = Literal["", "by epoch", "at once"]

BASE_LIBRARIES = ("numpy", "pyarrow")

P = ParamSpec("P")
Made = TypeVar("Made", bound=Artifact | Group, covariant=True)
"""What a stage makes for a date: one artifact, or a group of them."""


@dataclass(frozen=True)
class Stage(Generic[P, Made]):
    """A function with what it makes and what it asks for while it runs.

    Attributes:
        makes: a dataset, or the group whose fields are named after the datasets.
        libraries: distributions whose version decides what comes out, besides numpy and pyarrow.
        memory_gib: what one call may hold at most at demo size; `tasks.engine.running` admits steps by it.
        parallel: the calls for several days are independent and may run in worker processes.
        trains: how it trains a model, if it does; by epoch with a `training_log.json` in what it makes.
    """

    function: Callable[Concatenate[Outputs, P], None]
    makes: str | type[Made]
    libraries: tuple[str, ...] = ()
    memory_gib: float = 1.0
    threads: int = 1
    parallel: bool = False
    trains: Trains = ""

    @property
    def name(self) -> str:
        return self.function.__name__

    @cached_property
    def produces(self) -> tuple[str, ...]:
        """Datasets that it makes."""
        return (self.makes,) if isinstance(self.makes, str) else tuple(f.name for f in fields(self.makes))

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
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self.function)

    def __call__(self, date: str, /, *args: P.args, **kwargs: P.kwargs) -> "Step[Made]":
        """Plan one call, for one logical date."""
        bound = self._signature.bind(None, *args, **kwargs)
        bound.apply_defaults()
        given = dict(list(bound.arguments.items())[1:])  # all but `out`
        inputs = {n: v for n, v in given.items() if is_input(self._signature.parameters[n].annotation)}
        return Step(self, (Cell(self, date, inputs, {n: v for n, v in given.items() if n not in inputs}),))


class Asks(TypedDict, total=False):
    """What a stage may say of itself beside what it makes, see `Stage`."""

    libraries: tuple[str, ...]
    memory_gib: float
    threads: int
    parallel: bool
    trains: "Trains"


@overload
def stage(
    *, produces: str, **asks: Unpack[Asks]
) -> Callable[[Callable[Concatenate[Outputs, P], None]], Stage[P, Artifact]]: ...
@overload
def stage(
    *, produces: type[Made], **asks: Unpack[Asks]
) -> Callable[[Callable[Concatenate[Outputs, P], None]], Stage[P, Made]]: ...
def stage(*, produces: Any, **asks: Any) -> Callable[..., Stage[..., Any]]:
    """Make a function `f(out: Outputs, ..., config: SomeConfig) -> None` a stage named after it.

    Parameters annotated `Artifact`, `tuple[Artifact, ...]` or with a group are inputs; all others decide content by
    their value.

    Args:
        produces: a dataset, or a group with a field for each.
    """

    def made(function: Callable[..., None]) -> Stage[..., Any]:
        found: Stage[..., Any] = Stage(function, produces, **asks)
        if unknown := [name for name in found.produces if name not in DATASETS]:
            raise ValueError(f"{unknown} not declared in expectations/datasets.py")
        return found

    return made


@cache
def _version(library: str) -> str:
    return version(library).split("+")[0]


@dataclass(frozen=True)
class Cell:
    """One call of a stage, for one date: what goes in, and the key of what comes out.

    Attributes:
        inputs, parameters: the arguments that are artifacts, and all others.
    """

    stage: Stage[..., Any] = field(repr=False)
    date: str
    inputs: dict[str, Input]
    parameters: dict[str, Any]

    @cached_property
    def read(self) -> dict[str, tuple[Ref, ...]]:
        """What goes in, by the name of the parameter or, in a group, of the field."""
        found = [
            (n, tuple(a.ref for a in some)) for name, value in self.inputs.items() for n, some in named(name, value)
        ]
        read = dict(found)
        assert len(read) == len(found), f"{self.stage.name}: two inputs have one name among {[n for n, _ in found]}"
        return read

    @cached_property
    def ingredients(self) -> dict[str, Any]:
        """Everything that decides the content, in a form that can be compared and explained."""
        from expectations.rules import rules_digest

        libraries = sorted({*BASE_LIBRARIES, *self.stage.libraries})
        schemas = self.stage.named | {ref.dataset for refs in self.read.values() for ref in refs}
        return {
            "stage": self.stage.name,
            "date": self.date,
            "inputs": {n: [r.folder for r in refs] for n, refs in self.read.items()},
            "config": {n: _plain_settings(v) for n, v in self.parameters.items()},
            "code": self.stage.reached.digests,
            "schemas": {name: schema_digest(name) for name in sorted(schemas)},
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
class Step(Generic[Made]):
    """A node of the plan: the calls of one stage in one run, most often one, for `events` one a day."""

    stage: Stage[..., Made]
    cells: tuple[Cell, ...]
    audited_against: Mapping[str, Artifact] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.stage.name

    def refs(self, dataset: str) -> tuple[Ref, ...]:
        """Artifacts of one dataset, one a date."""
        assert dataset in self.stage.produces, f"{self.name} does not produce {dataset}"
        return tuple(Ref(dataset, cell.date, cell.key) for cell in self.cells)

    @property
    def by_date(self) -> dict[str, Made]:
        """What it makes for each date."""
        return {cell.date: _made(self.stage, cell.refs) for cell in self.cells}

    @property
    def made(self) -> Made:
        """What a step of one date makes."""
        (made,) = self.by_date.values()
        return made

    @property
    def needs(self) -> set[Ref]:
        """Artifacts that must stand before it runs."""
        read = {ref for cell in self.cells for refs in cell.read.values() for ref in refs}
        return read | {artifact.ref for artifact in self.audited_against.values()}


def _made(stage: Stage[..., Made], refs: tuple[Ref, ...]) -> Made:
    artifacts: Any = [Artifact(ref) for ref in refs]
    return artifacts[0] if isinstance(stage.makes, str) else stage.makes(*artifacts)


def merged(steps: Iterable[Step[Made]], audited_against: Mapping[str, Artifact] | None = None) -> Step[Made]:
    """The calls of a stage for several dates as one step.

    Args:
        audited_against: by column, the artifact with the ids that may occur in it.
    """
    first, *others = steps
    cells = (*first.cells, *(cell for step in others for cell in step.cells))
    return Step(first.stage, cells, audited_against or {})


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
