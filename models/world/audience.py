"""Who watches: people in order of sign-up, so that whoever has an account by a day is the first part of them.

Shapes: U users.
"""

from dataclasses import dataclass, fields

import numpy as np

from models.world.config import WorldConfig
from models.world.draws import generator, luck
from models.world.growth import Growth
from models.world.taste import Tastes, draw_tastes
from models.world.vocabulary import GENDERS, MATURITY_AGES, REGION_SHARES, REGIONS, TIERS

_BLOCK = 4096  # people drawn together; each is the same however many others are made
NEW_DAYS = 14
COLD_DAYS = 3
_EAGER_DAYS = 7
_AWAY_CYCLE, _BACK_DAYS = 90, 4
_AWAY_A_MONTH = 1 - (28 + _BACK_DAYS - 1) / _AWAY_CYCLE  # of those who are away: share that did not come in 28 days
_SEASON_DAYS = 60
_AT_RISK, _WEEKEND = 0.75, 0.12
_DEVICE_BY_AGE = np.array([[0.20, 0.50, 0.15, 0.15], [0.45, 0.30, 0.10, 0.15], [0.62, 0.12, 0.16, 0.10]])

LIFECYCLES = ("new", "active", "at_risk", "churned")
ENGAGEMENT_TIERS = ("low", "medium", "high")


@dataclass(frozen=True)
class Audience:
    """Columns of the users, all `[U]`. Days are ordinals; categories are indexes into `vocabulary`.

    Attributes:
        rights: which of the combinations of region, subscription and age it is; see `rights_of`.
        diligence: share of days on which they come, apart from seasons; mean 0.5.
        appetite: how much they watch on such a day, mean 1.
        away: back for a few days in every cycle only.
    """

    age: np.ndarray
    gender: np.ndarray
    region: np.ndarray
    device: np.ndarray
    tier: np.ndarray
    rights: np.ndarray
    signup: np.ndarray
    diligence: np.ndarray
    appetite: np.ndarray
    away: np.ndarray
    phase: np.ndarray
    tastes: Tastes

    def __len__(self) -> int:
        return len(self.age)


def draw_audience(config: WorldConfig, growth: Growth, num_users: int) -> Audience:
    """At least `num_users` people; each is the same whatever the number."""
    blocks = [_block(config, growth, b) for b in range(-(-num_users // _BLOCK))]
    columns = {f.name: np.concatenate([getattr(b, f.name) for b in blocks]) for f in fields(Audience)[:-1]}
    tastes = {f.name: np.concatenate([getattr(b.tastes, f.name) for b in blocks]) for f in fields(Tastes)}
    return Audience(**columns, tastes=Tastes(**tastes))


def rights_of(region: np.ndarray, tier: np.ndarray, age: np.ndarray) -> np.ndarray:
    """Index of what a person may watch: region, then subscription, then highest maturity rating."""
    grown = np.searchsorted(MATURITY_AGES, age, side="right") - 1
    return (region * len(TIERS) + tier) * len(MATURITY_AGES) + grown


def _block(config: WorldConfig, growth: Growth, number: int) -> Audience:
    rng = generator(config.seed, "users", number)
    age = np.where(rng.random(_BLOCK) < 0.10, rng.integers(8, 18, _BLOCK), 18 + rng.gamma(2.6, 8.5, _BLOCK)).astype(int)
    age = np.minimum(age, 90)
    gender = rng.choice(len(GENDERS), _BLOCK, p=[0.49, 0.48, 0.03])
    region = rng.choice(len(REGIONS), _BLOCK, p=REGION_SHARES)
    tier = rng.choice(len(TIERS), _BLOCK, p=[0.35, 0.40, 0.25])
    shares = np.cumsum(_DEVICE_BY_AGE, axis=1)[np.searchsorted([25, 50], age, side="right")]
    device = (rng.random(_BLOCK)[:, None] > shares[:, :-1]).sum(axis=1)
    return Audience(
        age=age,
        gender=gender,
        region=region,
        device=device,
        tier=tier,
        rights=rights_of(region, tier, age),
        signup=growth.day_of(number * _BLOCK + np.arange(_BLOCK)),
        diligence=0.1 + 0.8 * rng.beta(1.5, 1.5, _BLOCK),
        appetite=rng.gamma(2.5, 1 / 2.5, _BLOCK),
        away=rng.random(_BLOCK) < config.cold_user_share / 2 / _AWAY_A_MONTH,
        phase=rng.random(_BLOCK),
        tastes=draw_tastes(config, rng, age, gender, region, device),
    )


def _season(audience: Audience, day: int, users: np.ndarray) -> np.ndarray:
    """Interest comes and goes over two months, 0.6 to 1.4."""
    return 1 + 0.4 * np.cos(2 * np.pi * (day / _SEASON_DAYS + audience.phase[users]))


def _back(audience: Audience, day: int, users: np.ndarray) -> np.ndarray:
    return (day + np.floor(audience.phase[users] * _AWAY_CYCLE)) % _AWAY_CYCLE < _BACK_DAYS


def presence(audience: Audience, day: int, users: np.ndarray) -> np.ndarray:
    """Probability with which each of some users comes on a day, float64."""
    weekend = 1 + _WEEKEND * (1 if day % 7 in (6, 0) else -0.4)  # ordinal 0 (mod 7) is a Sunday
    likely = audience.diligence[users] * _season(audience, day, users) * weekend
    days = day - audience.signup[users]
    likely = np.where(days < _EAGER_DAYS, np.maximum(likely, 0.75), likely)
    likely = np.where(audience.away[users] & ~_back(audience, day, users), 0, likely)
    return np.where(days < 0, 0, np.minimum(likely, 0.95))


def comes(audience: Audience, seed: int, day: int, users: np.ndarray) -> np.ndarray:
    """Whether each of some users comes on a day; the same whenever it is asked."""
    return luck(seed, "comes", users, day) < presence(audience, day, users)


def lifecycle(audience: Audience, day: int, users: np.ndarray) -> np.ndarray:
    """Index into `LIFECYCLES`: where people stand on a day."""
    days = day - audience.signup[users]
    stale = audience.away[users] & ~_back(audience, day, users)
    at_risk = _season(audience, day, users) < _AT_RISK
    return np.select([days < NEW_DAYS, stale, at_risk], [0, 3, 2], 1)


def engagement(audience: Audience, day: int, users: np.ndarray) -> np.ndarray:
    """Index into `ENGAGEMENT_TIERS`: a third of the audience each, were nobody away."""
    expected = presence(audience, day, users) * audience.appetite[users]
    return np.searchsorted([0.25, 0.55], expected, side="right")
