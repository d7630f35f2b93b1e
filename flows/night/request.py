"""What somebody asked for: a night, and how it is to be run."""

import time
from dataclasses import dataclass, field
from datetime import date as Date
from pathlib import Path
from typing import Protocol

from flows.config import NightlyConfig
from flows.night.lakes import open_lake
from flows.night.plan import Plan
from flows.night.records import new_id
from flows.night.sources import NightSource
from tasks.engine.lake import Lake


@dataclass(frozen=True)
class NightRequest:
    """A night that is asked for.

    Attributes:
        date: logical day; None for the config's, or the last full one that there is.
        from_stage, force: stages to run again whatever stands: all from one on, and those named.
        sequential: one stage at a time.
        made_since: of what is forced, only what was made before this moment (seconds since 1970) is made again.
        build_docs: bring the Data Docs up to date at the end.
        promotes: ask the gates whether the release becomes the champion.
        stages: only these and what they need; all where empty.
        config_name, overrides: file and settings that the config came from, as they were given.
        id: of the run, and of its record.
    """

    config: NightlyConfig
    date: Date | None
    lake: str
    from_stage: str = ""
    force: tuple[str, ...] = ()
    sequential: bool = False
    made_since: float = field(default_factory=time.time)
    build_docs: bool = True
    promotes: bool = True
    stages: tuple[str, ...] = ()
    config_name: str = ""
    overrides: tuple[str, ...] = ()
    id: str = field(default_factory=new_id)

    def open_lake(self, home: Path) -> Lake:
        return open_lake(home, self.lake)

    def forced(self, plan: Plan) -> frozenset[str]:
        """Stages to run again whatever stands: those named, and all that descend from `from_stage`.

        Raises:
            UserError: there is no such stage.
        """
        plan.check_names(filter(None, (*self.force, self.from_stage)))
        return frozenset(self.force) | (plan.after(self.from_stage) if self.from_stage else frozenset())


class Planner(Protocol):
    """Plans what is asked for. `flows.nightly.plan_request` does: only that module knows what a night consists of."""

    def __call__(self, request: NightRequest, home: Path, source: NightSource | None = None) -> Plan: ...
