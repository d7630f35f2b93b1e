"""A model of one's own, trained and turned into a source of candidates: `python examples/add_a_model.py`.

In a night the class, its settings and `train` stand in a file below `models/`, and an entry in `models/catalogue.py`
makes it a source (docs/extending.md). Here it learns from a made log of two tastes: the right answer is known.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Self

import numpy as np
from pydantic import Field

from expectations.settings import settings
from models.interactions import Floats, Histories, Interactions, Ints, Trained, Training
from models.source_tables import tables_of


@settings
class CoWatchConfig:
    """Items watched by the same people."""

    shrinkage: Annotated[float, Field(ge=0)] = 5.0
    """Added to the watchers of an item, so that rare items are not near to everything."""


class CoWatch:
    """Scores are sums of shares: of those who watched an item of the history, how many watched this one, too."""

    def __init__(self, shares: Floats) -> None:
        self.shares = shares

    def scores(self, users: Ints, histories: Histories) -> Floats:
        """float32 `[B, I]`; zeros without a history."""
        known = histories.known(len(self.shares))
        found = np.zeros((len(known), len(self.shares)), np.float32)
        np.add.at(found, known.rows, self.shares[known.items])
        return found

    def neighbours(self, top_k: int) -> tuple[Ints, Ints, Floats]:
        """What makes it a source of the kind `neighbours`."""
        best = np.argsort(-self.shares, axis=1, kind="stable")[:, :top_k]
        items = np.repeat(np.arange(len(best)), best.shape[1])
        return items, best.ravel(), np.take_along_axis(self.shares, best, axis=1).ravel()

    def save(self, folder: Path) -> None:
        np.save(folder / "shares.npy", self.shares, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(np.load(folder / "shares.npy", allow_pickle=False))


def train(data: Interactions, config: CoWatchConfig, training: Training) -> Trained:
    """Count who watched both."""
    had = np.zeros((data.num_users, data.num_items), np.float32)
    had[data.histories.rows, data.histories.items] = 1
    both = had.T @ had
    shares = both / (both.diagonal()[:, None] + config.shrinkage)
    np.fill_diagonal(shares, 0)
    return Trained(CoWatch(shares.astype(np.float32)))


def main() -> float:
    """The share of users whose best new item is of their own taste."""
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.choice(20, 8, replace=False) + 20 * (user % 2) for user in range(60)])
    data = Interactions(Histories(np.arange(0, 481, 8), items.astype(np.int32)), 40, ordered=True)
    with TemporaryDirectory() as scratch:
        model = train(data, CoWatchConfig(), Training(Path(scratch))).model
    everyone, everything = np.arange(60), np.arange(40)
    (near,) = tables_of(model, "neighbours", data, everyone, everything, data.histories).values()
    print(f"{near.num_rows} neighbours; those of item 0: {near['neighbour_id'].to_pylist()[:5]}")
    scores = model.scores(everyone, data.histories)
    scores[data.histories.rows, data.histories.items] = -np.inf
    own = float(np.mean(scores.argmax(axis=1) // 20 == everyone % 2))
    print(f"{own:.0%} get something of their own taste")
    return own


if __name__ == "__main__":
    main()
