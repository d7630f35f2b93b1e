"""Where a night's events come from: made data, or a log. Both offer the same steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import date as Date
from pathlib import Path
from typing import Protocol

from expectations.errors import UserError
from flows.config import Calendar, NightlyConfig, WindowConfig
from models.world.config import LIFETIME_DAYS, WorldConfig
from tasks.engine.lake import Artifact
from tasks.engine.stage import Step, merged
from tasks.sources.scan import scan
from tasks.sources.state import Scan
from tasks.stages import generation, ingestion, other_logs
from tasks.stages.groups import Events, Known, Watched


class NightSource(Protocol):
    """What a plan asks of a source."""

    @property
    def first(self) -> Date | None:
        """First day there is; None when there is no beginning."""

    @property
    def latest(self) -> Date:
        """Last day there is."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out or looks odd, one sentence each."""

    def last_day(self, window: WindowConfig) -> Date:
        """Day of the night when none is asked for."""

    def check(self, days: Calendar) -> None:
        """Refuse days from which nothing can be learnt, or on which nothing can be judged."""

    def catalogue(self, dates: Sequence[str]) -> Step[Known]:
        """Users, items and the id map as known on each date."""

    def events(self, days: Sequence[str], known: Known) -> Step[Watched]:
        """What happened on each day, audited against the ids of `known`."""

    def beside(self, days: Sequence[str], known: Known) -> list[Step[Artifact]]:
        """What was shown, done and searched for on each day, where it is told apart from the events."""

    def oracle(self, days: Calendar, window: tuple[Artifact, ...], known: Known) -> list[Step[Artifact]]:
        """The planted best lists, where tastes were planted."""


def open_source(config: NightlyConfig, home: Path) -> NightSource:
    """The source that a config names; a log is looked through, and remembered while it does not change."""
    if config.source.kind == "world":
        judged = config.evaluation
        return MadeData(config.world, max(config.pipeline.k, judged.primary_k, *judged.ks))
    today = datetime.now(UTC).date().isoformat()
    return LogData(scan(config.source, home, today), config)


@dataclass(frozen=True)
class MadeData:
    """The seeded world: any day can be made at any time.

    Attributes:
        k: length of the oracle's lists, which must reach every cut-off that anything is judged at.
    """

    world: WorldConfig
    k: int

    @property
    def first(self) -> Date | None:
        return Date.fromisoformat(self.world.first_day)

    @property
    def latest(self) -> Date:
        return Date.fromisoformat(self.world.first_day) + timedelta(days=LIFETIME_DAYS - 1)

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    def last_day(self, window: WindowConfig) -> Date:
        return Date.fromisoformat(self.world.first_day) + timedelta(days=self.world.num_days - 1)

    def check(self, days: Calendar) -> None:
        pass

    def catalogue(self, dates: Sequence[str]) -> Step[Known]:
        return merged(generation.catalogue(date, self.world) for date in dates)

    def events(self, days: Sequence[str], known: Known) -> Step[Events]:
        return merged((generation.events(day, self.world) for day in days), _ids(known))

    def beside(self, days: Sequence[str], known: Known) -> list[Step[Artifact]]:
        return []

    def oracle(self, days: Calendar, window: tuple[Artifact, ...], known: Known) -> list[Step[Artifact]]:
        return [
            generation.oracle(
                days.day,
                first_day=days.judge[0],
                last_day=days.judge[-1],
                k=self.k,
                watches=window,
                known=known,
                config=self.world,
            )
        ]


@dataclass(frozen=True)
class LogData:
    """A log of somebody's own. The digest of each day's content decides its key, not the file's name or time."""

    log: Scan
    config: NightlyConfig

    @property
    def first(self) -> Date | None:
        return Date.fromisoformat(self.log.first_day)

    @property
    def latest(self) -> Date:
        return Date.fromisoformat(self.log.last_day)

    @property
    def notes(self) -> tuple[str, ...]:
        return self.log.notes

    def last_day(self, window: WindowConfig) -> Date:
        return Date.fromisoformat(self.log.last_full_day)

    def check(self, days: Calendar) -> None:
        """Refuse a log without a choice, and days without a positive, before hours are spent on them.

        Raises:
            UserError: it has one item, or nothing is a positive, at all, in the window or on the judged days.
        """
        if self.log.num_items < 2:
            raise UserError(
                f"{self.config.source.setting}: the log and its items have one item, so there is nothing to choose "
                f"among; is {self._item_setting} the right column?"
            )
        if self.log.unreached:
            raise UserError(self.log.unreached)
        uses = {
            "there is nothing to learn from": (days.train, "a later --date, a longer window.train_days"),
            "nothing can be judged": (days.judge, "an earlier --date, more window.judge_days"),
        }
        for so, (some, remedy) in uses.items():
            if not any(self.log.positives.get(day) for day in some):
                events = sum(self.log.rows.get(day, 0) for day in some)
                raise UserError(
                    f"window: none of the {events:,} events from {some[0]} to {some[-1]} is a positive, so {so}; take "
                    f"{remedy}{self._lower_bars()}"
                )

    @property
    def _item_setting(self) -> str:
        source = self.config.source
        is_list = source.clicks_are_plays and source.impressions.shown
        return f"{source.columns_setting}.{'shown' if is_list else 'item'}"

    def _lower_bars(self) -> str:
        source = self.config.source
        bars = {"rating": source.positive_min_rating, "completion": source.positive_min_completion}
        return "".join(f", or source.positive_min_{n} below {bar:g}" for n, bar in bars.items() if bar is not None)

    def catalogue(self, dates: Sequence[str]) -> Step[Known]:
        return ingestion.catalogue_step(self.log, dates)

    def events(self, days: Sequence[str], known: Known) -> Step[Watched]:
        made = other_logs if self.config.source.impressions.is_named else ingestion
        return made.events_step(self.log, days, _ids(known))

    def beside(self, days: Sequence[str], known: Known) -> list[Step[Artifact]]:
        return other_logs.beside_steps(self.log, days, _ids(known))

    def oracle(self, days: Calendar, window: tuple[Artifact, ...], known: Known) -> list[Step[Artifact]]:
        return []


def _ids(known: Known) -> dict[str, Artifact]:
    """What events are audited against: who and what exists, and how long it is."""
    return {"user_id": known.users, "item_id": known.items, "duration_s": known.items}
