"""Series: what people follow, and how far they are.

Time is cut into spells of ten days, at days of each person's own. In a spell a person follows at most one series,
from its first episode on, at their own pace per day on which they come, until it ends or they give it up. A series has
its turn in one spell of three, so that nobody begins it again within a month. All of that is luck of (person, spell)
and so can be told for any day without going through the days before it.

Shapes: U users of the audience, N people asked about.
"""

from dataclasses import dataclass

import numpy as np

from models.world.audience import Audience, comes
from models.world.catalogue import Catalogue
from models.world.config import WorldConfig
from models.world.draws import luck
from models.world.shelves import Rows, Shelves
from models.world.taste import fondness

SPELL_DAYS = 10
FOLLOWING = 0.95
_TURNS, _ATTEMPTS = 3, 12
_LEAVES, _LEAVES_FOND = 0.12, -0.10
_WATCHES_PER_PACE = 0.24  # watches a user and day at pace 1, measured


@dataclass(frozen=True)
class Plan:
    """What everyone follows in one spell.

    Attributes:
        series: item id of the first episode, -1 for none, `[U]`.
        fond: how fond they are of it, `[U]`.
        leaves: probability of giving up after an episode, `[U]`.
        limit: episodes after which they give up, `[U]`.
    """

    series: np.ndarray
    fond: np.ndarray
    leaves: np.ndarray
    limit: np.ndarray


@dataclass(frozen=True)
class SeriesProgress:
    """Where some people stand in their series on the morning of a day; all `[N]`.

    Attributes:
        series: item id of the first episode, -1 for none.
        length: episodes there are.
        watched, upto: episodes watched before the day, and after it if they come.
        steps: days of the spell on which they came before.
    """

    series: np.ndarray
    fond: np.ndarray
    leaves: np.ndarray
    length: np.ndarray
    limit: np.ndarray
    pace: np.ndarray
    steps: np.ndarray
    watched: np.ndarray
    upto: np.ndarray

    def take(self, rows: np.ndarray) -> "SeriesProgress":
        """Some of the people."""
        return SeriesProgress(**{name: column[rows] for name, column in vars(self).items()})


def spell(seed: int, day: int, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number and first day of the spell that each person is in."""
    offset = np.floor(luck(seed, "spell", users) * SPELL_DAYS).astype(np.int64)
    number = (day + offset) // SPELL_DAYS
    return number, number * SPELL_DAYS - offset


def pace(config: WorldConfig, users: np.ndarray) -> np.ndarray:
    """Episodes a day on which they come."""
    mean = config.watches_per_user_day * config.series_share / _WATCHES_PER_PACE
    return mean * (0.5 + luck(config.seed, "pace", users))


def plan(config: WorldConfig, audience: Audience, catalogue: Catalogue, number: int) -> Plan:
    """What everyone follows in spell `number`."""
    users = np.arange(len(audience))
    first = number * SPELL_DAYS - np.floor(luck(config.seed, "spell", users) * SPELL_DAYS).astype(np.int64)
    shelves = series_shelves(catalogue, number * SPELL_DAYS - SPELL_DAYS + 1)
    series, fond = np.full(len(users), -1), np.zeros(len(users))
    if len(shelves.items) and config.series_share > 0:
        taste = audience.tastes.on(first, users, config)
        rows = Rows.of(shelves, audience.rights, taste)
        able = (luck(config.seed, "follows", users, number) < FOLLOWING) & (rows.total > 0)
        for attempt in range(_ATTEMPTS):
            left = np.flatnonzero(able & (series < 0))
            niche, places = rows.draw(left, luck(config.seed, f"series {attempt}", left, number))
            found = shelves.items[places]
            turn = np.floor(luck(config.seed, "turn", left, found) * _TURNS).astype(np.int64) == number % _TURNS
            series[left[turn]] = found[turn]
            fond[left[turn]] = fondness(taste[left, niche])[turn]
    leaves = leaving(fond)
    patience = np.log1p(-luck(config.seed, "patience", users, number)) / np.log1p(-leaves)
    return Plan(series, fond, leaves, 1 + np.floor(patience).astype(np.int64))


def leaving(fond: np.ndarray) -> np.ndarray:
    """Probability of giving up a series after any one episode, given how fond the person is of its niche."""
    return _LEAVES + _LEAVES_FOND * fond


def series_shelves(catalogue: Catalogue, day: int) -> Shelves:
    """First episodes of the series that had their premiere by a day."""
    firsts = np.flatnonzero((catalogue.series == np.arange(len(catalogue))) & (catalogue.premiere <= day))
    return Shelves(catalogue, firsts, catalogue.weight[firsts])


def series_lengths(catalogue: Catalogue) -> np.ndarray:
    """Episodes of the series that begins at each item, 0 elsewhere, `[I]`."""
    return np.bincount(catalogue.series[catalogue.series >= 0], minlength=len(catalogue))


def came_before(config: WorldConfig, audience: Audience, day: int, users: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Days from `first` to the day before on which each person came."""
    count = np.zeros(len(users), dtype=np.int64)
    for back in range(1, SPELL_DAYS):
        count += comes(audience, config.seed, day - back, users) & (day - back >= first)
    return count


def progress(
    config: WorldConfig,
    audience: Audience,
    lengths: np.ndarray,
    plans: dict[int, Plan],
    day: int,
    users: np.ndarray,
) -> SeriesProgress:
    """Where people stand on the morning of a day.

    Args:
        lengths: `series_lengths` of the catalogue.
        plans: of the spells that the people are in.
    """
    number, first = spell(config.seed, day, users)
    fields = {name: np.zeros(len(users), dtype=kind) for name, kind in _FIELDS.items()}
    for each in np.unique(number):
        mine = number == each
        for name in fields:
            fields[name][mine] = getattr(plans[each], name)[users[mine]]
    length = np.where(fields["series"] >= 0, lengths[fields["series"]], 0)
    speed = pace(config, users)
    steps = came_before(config, audience, day, users, first)
    most = np.minimum(length, fields["limit"])
    watched, upto = (np.minimum(np.floor(speed * n).astype(np.int64), most) for n in (steps, steps + 1))
    return SeriesProgress(**fields, length=length, pace=speed, steps=steps, watched=watched, upto=upto)


_FIELDS = {"series": np.int64, "fond": np.float64, "leaves": np.float64, "limit": np.int64}
