"""The logging policy and who looks: which pages a day's people open, what stands on them, what they would watch.

Shapes: N people who open pages of a kind, R pages, K places a page, M places looked up.

**Policy.** A page of K places takes K evenly spaced points (u + 0..K-1) / K, u uniform, on the person's line of items
(systematic sampling, Madow 1949), and deals them out to its places from a random one on. Each place's point is uniform
by itself, so an item of weight w stands at a given place with probability w; where w exceeds 1/K several points fall
on one item, which is shown once: min(1, K w) / K is its propensity. What a person watched lately is left out, and
so is a repeated item: places stay empty then, and the chance of every other item to stand where it does is unchanged.

**Person.** They look at place p with a probability that falls with p, and then watch with one that depends on taste.
"""

from dataclasses import dataclass

import numpy as np

from models.world.config import WorldConfig
from models.world.draws import generator, luck

LOOKS = 0.5  # places looked at on a page, on average
_ATTRACTED, _ATTRACTED_FOND = 0.06, 0.85  # chance to watch what is looked at: to begin with, and for fondness
SURFACES = ("home", "browse", "search", "next_up")
VARIANTS = ("control", "treatment")


@dataclass(frozen=True)
class Kind:
    """A kind of page: its surface, how many of it a person opens relative to others, and its size."""

    surface: str
    pages: float
    size: float


KINDS = (Kind("home", 1.0, 1.0), Kind("browse", 0.25, 1.0), Kind("search", 0.15, 0.5))


@dataclass(frozen=True)
class Pages:
    """Pages of one kind on one day, and the luck that decides them.

    Attributes:
        users: whose pages of this kind there are, `[N]`.
        row: whose page each is (index into `users`), `[R]`, ascending.
        start: where the first point lies, 0 to 1, `[R]`.
        shift: place of the first point, `[R]`.
        glance: luck of looking and watching, `[R, K]` by point.
    """

    kind: Kind
    size: int
    users: np.ndarray
    row: np.ndarray
    start: np.ndarray
    shift: np.ndarray
    glance: np.ndarray

    @property
    def position(self) -> np.ndarray:
        """Place of each point on its page, from 1: `[R, K]`."""
        return (self.shift[:, None] + np.arange(self.size)) % self.size + 1


def size_of(kind: Kind, config: WorldConfig) -> int:
    """Places on a page."""
    return max(round(kind.size * config.page_size), 1)


def open_pages(config: WorldConfig, kind: Kind, day: int, users: np.ndarray, rate: np.ndarray) -> Pages:
    """Pages that the people who came open, `rate` (per unit of `kind.pages`) of them on average."""
    rng = generator(config.seed, f"pages {kind.surface}", day)
    counts = rng.poisson(rate * kind.pages)
    opened = np.flatnonzero(counts)
    row = np.repeat(np.arange(len(opened)), counts[opened])
    size = size_of(kind, config)
    start, shift = rng.random(len(row)), rng.integers(size, size=len(row))
    return Pages(kind, size, users[opened], row, start, shift, rng.random((len(row), size), dtype=np.float32))


def variants(config: WorldConfig, users: np.ndarray) -> np.ndarray:
    """Arm of the experiment that each user is in: index into `VARIANTS`."""
    return (luck(config.seed, "experiment", users) < 0.5).astype(np.int64)


def known_share(config: WorldConfig, kind: Kind, users: np.ndarray) -> np.ndarray:
    """How far pages of a kind follow each person's taste, float32 0 to 1: a search tells it, browsing ignores it."""
    if kind.surface == "home":
        shares = config.personalisation + config.experiment_lift * variants(config, users)
        return np.minimum(shares, 1).astype(np.float32)
    return np.full(len(users), 1 if kind.surface == "search" else 0, dtype=np.float32)


def looks(config: WorldConfig, size: int) -> np.ndarray:
    """Probability of looking at each place, `[K]`; the mean is `LOOKS` unless the bias is extreme."""
    bias = np.arange(1.0, size + 1) ** -config.position_bias
    return np.minimum(LOOKS * bias / bias.mean(), 1)


def attraction(
    config: WorldConfig, users: np.ndarray, items: np.ndarray, fond: np.ndarray, quality: np.ndarray
) -> np.ndarray:
    """Probability that a person watches what they look at, `[M]`."""
    whim = 1 + config.idiosyncrasy * (2 * luck(config.seed, "whim", users, items) - 1)
    return np.minimum(niche_attraction(fond) * quality * whim, 1)


def niche_attraction(fond: np.ndarray) -> np.ndarray:
    """What fondness alone makes of `attraction`, before the item's quality and the person's whim."""
    return _ATTRACTED + _ATTRACTED_FOND * fond


def most_attraction(config: WorldConfig) -> float:
    """Upper bound of `attraction`."""
    return min((_ATTRACTED + _ATTRACTED_FOND) * (1 + config.idiosyncrasy), 1)


def propensity(weight: np.ndarray, size: int) -> np.ndarray:
    """Probability that an item filling `weight` of a person's page stands at a given place of it."""
    return np.minimum(1, size * weight) / size
