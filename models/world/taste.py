"""What people like: the planted truth that everything else in the made data follows from.

Shapes: U users, Z niches. A taste is a row of Z weights with mean 1: 3 means three times as fond as of the average
niche. The log of a taste is partly explained by what is known of the person (so that a newcomer's taste can be
guessed) and partly their own (so that it has to be learnt from what they watch).
"""

from dataclasses import dataclass

import numpy as np

from models.world.config import WorldConfig
from models.world.draws import generator
from models.world.vocabulary import DEVICES, FLAVOURS, GENDERS, GENRES, NICHES, REGIONS

AGE_BANDS = np.array([13, 25, 40, 60])
_SAME_OWN = 0.5  # share of their own taste that people keep however far they drift
_OF_GENRE = 0.75  # share of the variance of tastes that lies between genres, not within them
_FOND = 10.0  # taste weight from which on people are as fond as can be


@dataclass(frozen=True)
class Tastes:
    """Two tastes a person, between which they drift: float32 `[U, Z]`, and where in that movement they begin."""

    one: np.ndarray
    other: np.ndarray
    phase: np.ndarray

    def on(self, day: int | np.ndarray, users: np.ndarray, config: WorldConfig) -> np.ndarray:
        """Tastes of some users on a day (ordinal; one, or one for each), float32 `[len(users), Z]`."""
        turn = 2 * np.pi * (day / config.drift_period_days + self.phase[users])
        away = (config.drift * 0.5 * (1 - np.cos(turn))).astype(np.float32)[:, None]
        return self.one[users] * (1 - away) + self.other[users] * away


def fondness(tastes: np.ndarray) -> np.ndarray:
    """How fond people are of something they look at, 0 to 1, from their taste weights."""
    return np.sqrt(np.minimum(tastes / _FOND, 1))


def draw_tastes(
    config: WorldConfig,
    rng: np.random.Generator,
    age: np.ndarray,
    gender: np.ndarray,
    region: np.ndarray,
    device: np.ndarray,
) -> Tastes:
    """Tastes of new people, given what is known of them (int `[U]` each; gender, region and device as indexes)."""
    tables = generator(config.seed, "demographics")
    known = sum(
        _leanings(tables, size)[group]
        for size, group in (
            (len(AGE_BANDS) + 1, np.searchsorted(AGE_BANDS, age, side="right")),
            (len(GENDERS), gender),
            (len(REGIONS), region),
            (len(DEVICES), device),
        )
    )
    known = known * np.float32(np.sqrt(config.demographic_share / 4))
    own, later = _leanings(rng, len(age)), _leanings(rng, len(age))
    moved = np.float32(np.sqrt(_SAME_OWN)) * own + np.float32(np.sqrt(1 - _SAME_OWN)) * later
    share = np.float32(np.sqrt(1 - config.demographic_share))
    strength = np.float32(config.taste_strength)
    one, other = (_weights(strength * (known + share * each)) for each in (own, moved))
    return Tastes(one, other, rng.random(len(age)))


def _leanings(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Standard normal `[rows, Z]`; most of the variance is shared by the niches of a genre."""
    genre = rng.standard_normal((rows, len(GENRES)), dtype=np.float32)
    niche = rng.standard_normal((rows, NICHES), dtype=np.float32)
    shared, rest = np.float32(np.sqrt(_OF_GENRE)), np.float32(np.sqrt(1 - _OF_GENRE))
    return shared * np.repeat(genre, FLAVOURS, axis=1) + rest * niche


def _weights(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    weights *= NICHES / weights.sum(axis=1, keepdims=True)
    return weights
