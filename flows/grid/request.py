"""What somebody asked for: a sweep with the settings, the day and the lake that it is about."""

from dataclasses import dataclass, replace
from datetime import date as Date
from pathlib import Path
from typing import Any

import yaml

from flows.config import NightlyConfig
from flows.grid.config import AxisConfig, GridConfig, SearchConfig
from flows.grid.metrics import objectives_of
from flows.grid.rows import Row, all_rows, axes_of, row_of
from flows.grid.work import Planner
from tasks.stage import plain

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
        return [
            row_of(name, sweep, {axis: _first(choices) for axis, choices in axes_of(sweep).items()}, self.night)
            for name, sweep in self.grid.sweeps.items()
        ]

    def told(self) -> dict[str, Any]:
        """All that decides what comes out, as JSON types: `resources` decide where work runs and no more."""
        night = replace(self.night, resources=type(self.night.resources)())
        date = str(self.date) if self.date else None
        return {**self._file(night), "date": date, "lake": self.lake}

    def write(self, path: Path) -> None:
        """Write the request as a file that asks for the same."""
        path.write_text(yaml.safe_dump(self._file(self.night), sort_keys=False))

    def _file(self, night: NightlyConfig) -> dict[str, Any]:
        return {"search": plain(self.search), "night": plain(night), "sweeps": plain(self.grid.sweeps)}


def _first(axis: AxisConfig) -> Any:
    """The first value of an axis, or the least of its range."""
    if axis.values:
        return axis.values[0]
    return int(axis.low or 0) if axis.whole else axis.low
