"""From axes to configurations: every choice of one value an axis, as the settings of a night."""

import copy
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from expectations.errors import UserError
from flows.config import NightlyConfig, check_config
from flows.grid.config import AxisConfig, GridConfig, SweepConfig, axis_of
from tasks.engine.stage import plain


@dataclass(frozen=True)
class Row:
    """One configuration.

    Attributes:
        sweep: the name of its sweep.
        chosen: axis -> value.
        config: the night that it is judged on, and that `nightjar run` would make.
    """

    sweep: str
    chosen: dict[str, Any]
    config: NightlyConfig

    @property
    def name(self) -> str:
        words = short_names(self.chosen)
        return self.sweep + "".join(f" {words[axis]}={value}" for axis, value in self.chosen.items())


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Dotted names by their last part, where no other ends in the same."""
    lasts = {name: name.rpartition(".")[2] for name in names}
    counted = Counter(lasts.values())
    return {name: last if counted[last] == 1 else name for name, last in lasts.items()}


def axes_of(sweep: SweepConfig) -> dict[str, AxisConfig]:
    """The axes of a sweep in full."""
    return {name: axis_of(name, axis) for name, axis in sweep.axes.items()}


def all_rows(grid: GridConfig, night: NightlyConfig) -> list[Row]:
    """Every configuration of a grid, sweep by sweep, the last axis changing fastest.

    Raises:
        UserError: an axis is a range, an unknown setting, an impossible value; with the name of the configuration.
    """
    rows: list[Row] = []
    for name, sweep in grid.sweeps.items():
        rows += [row_of(name, sweep, chosen, night) for chosen in combinations(name, axes_of(sweep))]
    return rows


def combinations(sweep: str, axes: Mapping[str, AxisConfig]) -> Iterator[dict[str, Any]]:
    """Every choice of one value for each axis.

    Raises:
        UserError: an axis is a range.
    """
    for name, axis in axes.items():
        if not axis.values:
            raise UserError(
                f"grid: axis {sweep}.{name} is a range, which a grid cannot go through; give it values, or set "
                "search.method to random or tpe"
            )
    for values in itertools.product(*(axis.values for axis in axes.values())):
        yield dict(zip(axes, values, strict=True))


def row_of(name: str, sweep: SweepConfig, chosen: Mapping[str, Any], night: NightlyConfig) -> Row:
    """The configuration of one choice.

    Raises:
        UserError: an unknown setting, or a value that it cannot have.
    """
    values = copy.deepcopy(plain(night))
    for key, value in sweep.settings.items():
        _set(values, key, value)
    for axis_name, axis in axes_of(sweep).items():
        for key in axis.keys:
            _set(values, key, chosen[axis_name])
    words = ", ".join(f"{axis}={value}" for axis, value in chosen.items())
    return Row(name, dict(chosen), check_config(values, f"grid: {name} with {words}"))


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise UserError(f"grid: {key} is no setting, as {section} has none below it; see docs/configuration.md")
    values[last] = value
