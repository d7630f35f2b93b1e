"""The made service: its people, its titles, and what happens on any day of it."""

import threading
from datetime import date as Date

import numpy as np

from expectations.errors import UserError
from models.world.audience import COLD_DAYS, Audience, draw_audience
from models.world.behaviour import Day, contains, day_of, wishes
from models.world.catalogue import Catalogue, draw_catalogue
from models.world.config import WorldConfig
from models.world.following import Plan, SeriesProgress, plan, progress, series_lengths, spell
from models.world.growth import Growth

_USERS_PAST_DAYS, _ITEMS_PAST_DAYS = 700, 300
_ERA_DAYS = 60
_PLANS_KEPT = 8


class World:
    """Everything about a made service, on any day, in any order: each answer follows from the config alone.

    A day's events depend on what people had watched before. That past is not taken from other days' events: it is
    worked out again from the same luck (`behaviour.wishes`), and kept in memory for the next day asked for.
    Safe to share between threads. Days are ordinals here; `models.world.tables` makes datasets of it.
    """

    def __init__(self, config: WorldConfig) -> None:
        first_day = Date.fromisoformat(config.first_day).toordinal()
        self.config, self.first_day = config, first_day
        arrivals = config.cold_user_share / 2 * config.num_users / COLD_DAYS
        self.user_growth = Growth(config.num_users, arrivals, config.num_days, first_day, _USERS_PAST_DAYS)
        uploads = config.new_item_share * config.num_items
        self.item_growth = Growth(config.num_items, uploads, config.num_days, first_day, _ITEMS_PAST_DAYS)
        self._lock = threading.RLock()
        self._audience: Audience | None = None
        self._catalogue: Catalogue | None = None
        self._era = 0
        self._watched: dict[int, np.ndarray] = {}
        self._plans: dict[tuple[int, int], Plan] = {}

    def day(self, number: int) -> Day:
        """What the pages of a day (ordinal) are made of."""
        return day_of(self.config, self.audience(number), self.catalogue(number), number)

    def past(self, number: int) -> np.ndarray:
        """Sorted codes of the pairs of user and item that were watched in the days before, and so are not again."""
        memory = self.config.rewatch_after_days
        with self._lock:
            # What was watched follows from what had been watched before it, and so on. Time is cut into eras so that
            # this comes to an end: before an era's first memory, nothing counts as watched.
            era = (number - self.first_day) // _ERA_DAYS
            if era != self._era:
                self._era, self._watched = era, {}
            for day in range(self.first_day + era * _ERA_DAYS - memory, number):
                if day not in self._watched:
                    wished = wishes(self.day(day))
                    self._watched[day] = wished[~contains(self._lately(day), wished)]
            return self._lately(number)

    def _lately(self, number: int) -> np.ndarray:
        days = range(number - self.config.rewatch_after_days, number)
        return np.sort(np.concatenate([np.empty(0, np.int64), *(self._watched[d] for d in days if d in self._watched)]))

    def progress(self, number: int, users: np.ndarray) -> SeriesProgress:
        """Where people stand in their series on the morning of a day."""
        audience, catalogue = self.audience(number), self.catalogue(number)
        spells = np.unique(spell(self.config.seed, number, users)[0]).tolist()
        plans = {n: self._plan(n, audience, catalogue) for n in spells}
        return progress(self.config, audience, series_lengths(catalogue), plans, number, users)

    def audience(self, number: int) -> Audience:
        """Everyone who has an account by the end of a day (ordinal), and maybe more."""
        needed = self.user_growth.by(number)
        with self._lock:
            if self._audience is None or len(self._audience) < needed:
                self._audience = draw_audience(self.config, self.user_growth, needed)
            return self._audience

    def catalogue(self, number: int) -> Catalogue:
        """Everything uploaded by the end of a day (ordinal), and maybe more."""
        # A series is uploaded with its last episode: fewer items may exist than the growth allows, never more.
        needed = self.item_growth.by(number)
        with self._lock:
            if self._catalogue is None or len(self._catalogue) < needed:
                self._catalogue = draw_catalogue(self.config, self.item_growth, needed)
            return self._catalogue

    def _plan(self, number: int, audience: Audience, catalogue: Catalogue) -> Plan:
        key = number, len(audience)
        with self._lock:
            if key not in self._plans:
                for old in sorted(self._plans)[:-_PLANS_KEPT]:
                    del self._plans[old]
                self._plans[key] = plan(self.config, audience, catalogue, number)
            return self._plans[key]

    def number(self, day: str) -> int:
        """A day (ISO) as an ordinal.

        Raises:
            UserError: it is none, or was before the service began.
        """
        try:
            number = Date.fromisoformat(day).toordinal()
        except ValueError:
            raise UserError(f"made data: {day!r} is no day; write it as in {self.config.first_day}") from None
        if number < self.first_day:
            raise UserError(
                f"made data: there is no {day}, the log begins on {self.config.first_day}; "
                "choose a later day or set world.first_day to an earlier one"
            )
        return number
