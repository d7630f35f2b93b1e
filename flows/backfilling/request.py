"""What somebody asks of a backfill: which days, of which night, in what order, and what to do when one fails."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date as Date
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal, get_args

from expectations.errors import UserError
from flows.config import NightlyConfig, check_config

Order = Literal["forward", "backward"]
Where = Literal["here", "pool"]
OnFailure = Literal["stop", "continue"]
Rerun = Literal["missing", "failed", "stale", "all"]

RERUN_DEFAULT: tuple[Rerun, ...] = ("missing", "failed", "stale")


@dataclass(frozen=True, kw_only=True)
class BackfillRequest:
    """A range of logical days, each a night of the same settings.

    Attributes:
        start, end: first and last logical day, both included, ISO.
        config: settings of every night, as nested JSON values.
        stages: only these and what they need; all of them when empty.
        exclude: days of the range to leave out.
        on: nights run `here`, in the process of the backfill with one Spark application, or are handed to the workers
            of Prefect's work `pool`.
        retries: how often a day that failed is tried again.
        rerun: which days run: those with something `missing`, `stale` (made once from other settings, code or inputs)
            or whose last run `failed`; `all` makes everything anew.
        promote: move the alias `champion` to the release of the newest day when every day has succeeded.
    """

    start: str
    end: str
    config: Mapping[str, Any]
    config_name: str
    overrides: tuple[str, ...] = ()
    lake: str
    stages: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_parallel: int = 1
    on: Where = "here"
    order: Order = "forward"
    on_failure: OnFailure = "stop"
    retries: int = 0
    rerun: tuple[Rerun, ...] = RERUN_DEFAULT
    promote: bool = False

    def __post_init__(self) -> None:
        first, last = Date.fromisoformat(self.start), Date.fromisoformat(self.end)
        if last < first:
            raise UserError(f"backfill: {self.end} is before {self.start}; write the first day first")
        outside = [d for d in self.exclude if not self.start <= d <= self.end]
        if outside:
            raise UserError(f"--exclude {outside[0]}: not between {self.start} and {self.end}")
        wrong = [r for r in self.rerun if r not in get_args(Rerun)]
        if wrong or not self.rerun:
            raise UserError(f"--rerun {','.join(wrong)}: choose from {', '.join(get_args(Rerun))}")
        if not self.days:
            raise UserError("backfill: every day of the range is excluded")
        if self.promote and self.stages:
            raise UserError("--promote needs whole nights: leave out --stages")

    @property
    def days(self) -> tuple[str, ...]:
        """The days in the order in which they run."""
        first, last = Date.fromisoformat(self.start), Date.fromisoformat(self.end)
        days = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
        days = [d for d in days if d not in self.exclude]
        return tuple(days if self.order == "forward" else reversed(days))

    @cached_property
    def night(self) -> NightlyConfig:
        """Settings of every night, as they were when it was asked for."""
        return check_config(self.config, self.config_name)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return dataclasses.asdict(self)
