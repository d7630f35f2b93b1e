"""What a sweep is asked for: which settings take which values, how they are searched, and what decides. Imports nothing
heavy.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from expectations.errors import UserError
from expectations.settings import settings
from flows.config import NightlyConfig, check_config, override, read_yaml

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
"""Of a sweep: files are named after it."""

Value = bool | int | float | str | list[Any] | None


@settings
class AxisConfig:
    """One thing that varies: values to choose from, or for a search a range."""

    keys: tuple[str, ...] = ()
    """Settings that take the value, all of them; by default the one that the axis is named after."""
    values: tuple[Value, ...] = ()
    """Values to choose from."""
    low: float | None = None
    """Least value of a range, which `random` and `tpe` draw from."""
    high: float | None = None
    """Largest value of the range."""
    log: bool = False
    """Draw from the range by its logarithm."""
    whole: bool = False
    """Draw whole numbers from the range."""

    def __post_init__(self) -> None:
        if bool(self.values) == (self.low is not None and self.high is not None):
            raise ValueError("an axis has values, or low and high; write `values: [...]`, or both ends of a range")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low is {self.low:g}; it must be below high, which is {self.high:g}")
        if self.low is not None and self.log and self.low <= 0:
            raise ValueError(f"low is {self.low:g}; with `log: true` it must be above 0")
        if self.whole and self.low is not None and self.ends[0] > self.ends[1]:
            raise ValueError(f"no whole number lies between {self.low:g} and {self.high:g}")

    @property
    def ends(self) -> tuple[float, float]:
        """Least and largest value of a range."""
        assert self.low is not None and self.high is not None
        return (math.ceil(self.low), math.floor(self.high)) if self.whole else (self.low, self.high)


Axis = AxisConfig | list[Value]


@settings
class SweepConfig:
    """The configurations of one system."""

    settings: dict[str, Value] = Field(default_factory=dict)
    """Settings that all of them have, such as `system: youtube`."""
    axes: Annotated[dict[str, Axis], Field(min_length=1)]
    """What varies: axis -> its values. `pipeline.k: [5, 10, 20]`, or with settings of other names
    `embedding: {keys: [towers.dim, transformer.dim], values: [32, 64]}`."""


@settings
class SearchConfig:
    """How configurations are chosen, and which is best."""

    method: Literal["grid", "random", "tpe"] = "grid"
    """`grid`: every combination. `random`, `tpe` (tree-structured Parzen estimator): Optuna chooses."""
    objectives: Annotated[tuple[str, ...], Field(min_length=1)] = ("ndcg@10",)
    """Metrics that decide, such as `ndcg@10` or `study_combined@k` (`k`: at the length of the lists). Of several, the
    first ranks the table and all make the Pareto front."""
    trials: Annotated[int, Field(ge=1, le=100_000)] = 50
    """Most configurations that a search tries of each sweep; a grid tries all."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """A search asks for no further configuration after so long."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Decides what a search asks for."""
    startup_trials: Annotated[int, Field(ge=1)] = 8
    """Configurations that `tpe` draws at random before it learns, and that no trial is stopped against."""
    prune: bool = True
    """Stop trainings whose validation figure is, after an epoch, below the median of earlier trials at that epoch. Only
    with one objective."""


@settings
class GridConfig:
    """A sweep as it stands in a file."""

    sweeps: Annotated[dict[str, SweepConfig], Field(min_length=1)]
    """Name -> the configurations of one system."""
    search: SearchConfig = SearchConfig()
    """How they are chosen."""
    night: dict[str, Any] = Field(default_factory=dict)
    """Settings of the night that all have, as in a run config."""

    def __post_init__(self) -> None:
        for name in self.sweeps:
            _check_name(name)


def axis_of(name: str, axis: Axis) -> AxisConfig:
    """An axis in full."""
    given = AxisConfig(values=tuple(axis)) if isinstance(axis, list) else axis
    return given if given.keys else AxisConfig(**{**vars(given), "keys": (name,)})


def load_grid(path: Path, overrides: tuple[str, ...] = ()) -> tuple[GridConfig, NightlyConfig]:
    """Read a file such as `deployments/grid.yaml`; `overrides` change the settings that all configurations have.

    Raises:
        UserError: no such file, no YAML, an unknown key, an impossible value; each with its full name.
    """
    grid = check_grid(read_yaml(path), str(path))
    values = dict(grid.night)
    for one in overrides:
        override(values, one)
    return grid, check_config(values, f"{path}: night")


def check_grid(values: Mapping[str, Any], name: str) -> GridConfig:
    """A sweep from nested values; `name` says where they come from."""
    for sweep, given in _mapping(values.get("sweeps"), f"{name}: sweeps", "sweeps by name").items():
        try:
            _check_name(str(sweep))
        except ValueError as error:
            raise UserError(f"{name}: {error}") from None
        given = _mapping(given, f"{name}: sweep {sweep}", "`axes`, and `settings` if it has some")
        setters: dict[str, str] = {}
        for axis, choices in _mapping(
            given.get("axes"), f"{name}: axes of sweep {sweep}", "axis: [value, ...]"
        ).items():
            _check_axis(f"{name}: axis {sweep}.{axis}", choices)
            for key in choices.get("keys") or [axis] if isinstance(choices, dict) else [axis]:
                if key in setters:
                    raise UserError(f"{name}: axes {setters[key]} and {axis} of sweep {sweep} both set {key}")
                setters[key] = axis
    try:
        return TypeAdapter(GridConfig).validate_python(values)
    except ValidationError as error:
        lines = dict.fromkeys(_explain(e) for e in error.errors() if "list" not in e["loc"][-1:])
        raise UserError(f"{name}: " + "; ".join(lines)) from None


def _check_name(sweep: str) -> None:
    if not _NAME.fullmatch(sweep):
        raise ValueError(f"sweep {sweep!r}: a name is letters, digits, `_`, `-` and `.`, the first a letter or digit")


def _mapping(given: Any, place: str, of: str) -> dict[str, Any]:
    """What must be a mapping, or is not there; what that would hold is checked later."""
    if given is not None and not isinstance(given, dict):
        raise UserError(f"{place}: must hold {of}, is {given!r:.60}; docs/grid.md has an example")
    return given or {}


def _check_axis(place: str, choices: Any) -> None:
    """Raise UserError for what is no axis, and for values that are there twice."""
    if choices in ([], None, {}):
        raise UserError(f"{place} is empty; give it values, such as [32, 64]")
    if not isinstance(choices, list | dict):
        raise UserError(f"{place} is {choices!r:.60}; give it values, such as [{choices!r:.60}]")
    values = choices if isinstance(choices, list) else choices.get("values") or []
    seen: list[Any] = []
    for value in values if isinstance(values, list) else []:
        if isinstance(value, dict):
            raise UserError(f"{place} has the value {value!r:.60}; a value is a number, a word or a list of such")
        if any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in seen):
            raise UserError(f"{place} has the value {value!r:.60} twice")
        seen.append(value)


def _explain(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"] if part != "AxisConfig")
    return f"{place}: {error['msg'][:1].lower()}{error['msg'][1:]}"
