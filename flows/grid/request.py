"""What somebody asked for: a sweep with the settings, the day and the lake that it is about."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date as Date
from pathlib import Path
from typing import Any

import yaml

from expectations.errors import UserError
from flows.config import NightlyConfig
from flows.grid.config import AxisConfig, GridConfig, SearchConfig, SweepConfig
from flows.grid.metrics import objectives_of
from flows.grid.rows import Row, all_rows, axes_of, row_of
from flows.grid.work import Planner
from tasks.engine.stage import plain
from tasks.machine.home import told

REQUEST = "request.yaml"
"""In a sweep's folder: the whole request, which `nightjar grid` takes."""


@dataclass
class GridRequest:
    """A request.

    Attributes:
        night: settings that all configurations have.
        max_parallel: trials side by side; 0 for as many as `resources.threads`.
    """

    grid: GridConfig
    night: NightlyConfig
    date: Date | None
    lake: str
    max_parallel: int = 0

    @property
    def parallel(self) -> int:
        return self.max_parallel or self.night.resources.threads

    @property
    def search(self) -> SearchConfig:
        """With the objectives by their full names.

        Raises:
            UserError: there is no such objective.
        """
        return replace(self.grid.search, objectives=objectives_of(self.grid.search.objectives, self.night.evaluation))

    def planner(self, home: Path) -> Planner:
        return Planner(self.night, self.date, self.lake, home)

    def rows(self) -> list[Row]:
        """Every configuration; of a search the first of each sweep, which stands for what it may ask for.

        Raises:
            UserError: an unknown setting, an impossible value, a range in a grid.
        """
        if self.search.method == "grid":
            return all_rows(self.grid, self.night)
        return [self._checked(name, sweep) for name, sweep in self.grid.sweeps.items()]

    def _checked(self, name: str, sweep: SweepConfig) -> Row:
        """The first configuration of a search, once every value of every axis was tried beside it."""
        axes = axes_of(sweep)
        first = {axis: _samples(choices)[0] for axis, choices in axes.items()}
        for axis, choices in axes.items():
            for value in _samples(choices):
                try:
                    row_of(name, sweep, first | {axis: value}, self.night)
                except UserError as error:
                    if choices.values or choices.whole or "integer" not in str(error):
                        raise
                    raise UserError(f"{error}; write `whole: true` beside low and high") from None
        return row_of(name, sweep, first, self.night)

    def told(self, home: Path) -> dict[str, Any]:
        """All that decides what comes out, as JSON types: `resources` decide where work runs and no more.

        The lake stands there as the home tells it, so that a sweep of a moved home is known again.
        """
        night = replace(self.night, resources=type(self.night.resources)())
        date = str(self.date) if self.date else None
        return {**self._file(night), "date": date, "lake": told(home, self.lake)}

    def write(self, path: Path) -> None:
        """Write the request as a file that asks for the same; `lake` is none of its sections."""
        night = replace(self.night, date=self.date) if self.date else self.night
        path.write_text(yaml.safe_dump(self._file(night), sort_keys=False))

    def _file(self, night: NightlyConfig) -> dict[str, Any]:
        return {"search": plain(self.search), "night": plain(night), "sweeps": plain(self.grid.sweeps)}


def _samples(axis: AxisConfig) -> Sequence[Any]:
    """All values of an axis, or of its range the ends and, where it need not be whole, something between."""
    if axis.values:
        return axis.values
    low, high = axis.ends
    return (int(low), int(high)) if axis.whole else (low, low + 0.381966 * (high - low), high)
