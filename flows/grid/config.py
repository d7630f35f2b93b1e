"""What a sweep is asked for: which settings take which values, how they are searched, and what decides. Imports nothing
heavy.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from expectations.errors import UserError
from expectations.settings import settings
from flows.config import NightlyConfig, check_config, override, read_yaml

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
    for sweep, given in (values.get("sweeps") or {}).items():
        for axis, choices in (given.get("axes") or {} if isinstance(given, dict) else {}).items():
            if choices in ([], None, {}):
                raise UserError(f"{name}: axis {sweep}.{axis} is empty; give it values, such as [32, 64]")
    try:
        return TypeAdapter(GridConfig).validate_python(values)
    except ValidationError as error:
        lines = dict.fromkeys(_explain(e) for e in error.errors() if "list" not in e["loc"][-1:])
        raise UserError(f"{name}: " + "; ".join(lines)) from None


def _explain(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"] if part != "AxisConfig")
    return f"{place}: {error['msg'][:1].lower()}{error['msg'][1:]}"
