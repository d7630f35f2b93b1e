"""What the models of a release say of candidates, when a system asks them."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, TypeGuard

import numpy as np

if TYPE_CHECKING:
    from .candidates import Pool
    from .features import Features
    from .ranker import Ranker
    from .users import Users

RANKER = "ranker"
"""Name of the one model that is no source."""


class Scoring(Protocol):
    """A source that can also judge what others propose."""

    def scores(self, users: "Users", rows: np.ndarray, item_ids: np.ndarray) -> np.ndarray:
        """float32 `[N, C]` for candidates of each of N rows of users."""


def can_score(source: object) -> TypeGuard[Scoring]:
    """Sources by vectors and by neighbours can; lists and rankings know nothing of what others propose."""
    return callable(getattr(source, "scores", None))


class Scores:
    """The candidates of N users, `[N, C]`, and whoever can be asked about them.

    Attributes:
        retrieval: float64, the fused score of the sources that proposed a candidate; kept: which places have one.
        said: what was asked so far, for the trace; who is not asked says nothing and takes no time.
    """

    def __init__(
        self,
        features: "Features",
        rows: np.ndarray,
        pool: "Pool",
        sources: Mapping[str, Scoring],
        ranker: "Ranker",
        settings: Mapping[str, float],
    ) -> None:
        """`sources` are those that may be asked, `settings` the pipeline's section `rank`."""
        self.features, self.rows, self.item_ids = features, rows, pool.item_ids
        self.retrieval, self.kept = pool.retrieval, pool.item_ids >= 0
        self.sources, self.ranker, self.settings = sources, ranker, settings
        self.said: dict[str, np.ndarray] = {}

    @cached_property
    def expected(self) -> dict[str, np.ndarray]:
        """float32 by output of the ranker: click and completion probabilities, watch seconds."""
        predicted = self.ranker.predict(self.features.pairs(self.rows, self.item_ids))
        self.said |= predicted
        return predicted

    @property
    def engagement(self) -> np.ndarray:
        """One number of all that the ranker expects: a logarithm."""
        return self.ranker.score(self.expected, self.settings)

    def of(self, model: str) -> np.ndarray:
        """What a source says, in the trace as `<source>_score`, or the ranker, there as `engagement_score`."""
        if model == RANKER:
            name, values = "engagement_score", self.engagement
        else:
            name = f"{model}_score"
            values = self.sources[model].scores(self.features.users, self.rows, self.item_ids)
        self.said[name] = values
        return values
