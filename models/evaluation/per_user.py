"""What one user is worth to one system: every figure that has a value for each judged user.

Shapes: U users judged, K places, N item ids, G genres.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.evaluation.catalogue import CatalogueFacts
from models.evaluation.config import EvaluationConfig
from models.evaluation.truth import Judged
from models.metrics.beyond_accuracy import intra_list_diversity, mean_over_list, serendipity
from models.metrics.calibration import genre_distributions, miscalibration
from models.metrics.ranking import PerUser, ranking_metrics
from models.metrics.study import study_metrics, top_genres

Systems = Mapping[str, np.ndarray]
"""System -> its lists, int64 `[U, K]`, -1 where a list is shorter."""


@dataclass(frozen=True)
class Tastes:
    """What the judged users watched in training, by genre.

    Attributes:
        top: see `models.metrics.study.top_genres`.
        distributions: see `models.metrics.calibration.genre_distributions`.
    """

    top: np.ndarray
    distributions: np.ndarray

    @classmethod
    def of(cls, judged: Judged, items: CatalogueFacts) -> "Tastes":
        """Once for all systems."""
        top = top_genres(judged.history, items.primary_genre, items.genre_shares.shape[1])
        return cls(top, genre_distributions(judged.history, items.genre_shares))


def values_per_user(
    lists: np.ndarray, judged: Judged, items: CatalogueFacts, tastes: Tastes, config: EvaluationConfig
) -> PerUser:
    """Every figure of one system that a user has: ranking metrics, serendipity, average popularity, miscalibration and
    the study's at all cut-offs, novelty and diversity at the primary one."""
    k, ks = config.primary_k, sorted({*config.ks, config.primary_k})
    hits = judged.truth.contains(lists)
    values = ranking_metrics(hits, judged.truth.sizes, ks)
    values |= serendipity(lists, hits, items.obviousness, len(items.item_ids), ks)
    values |= {("average_popularity", c): mean_over_list(lists[:, :c], items.watched_share) for c in ks}
    values["novelty", k] = mean_over_list(lists[:, :k], items.self_information)
    if items.genre_vectors.shape[1]:
        values["diversity", k] = intra_list_diversity(lists[:, :k], items.genre_vectors)
        values |= miscalibration(lists, tastes.distributions, items.genre_shares, ks)
        values |= study_metrics(lists, tastes.top, items.primary_genre, ks)
    return values


def values_in_tier(
    systems: Systems, judged: Judged, items: CatalogueFacts, tier: int, config: EvaluationConfig
) -> dict[str, PerUser]:
    """Recall, hit rate and hits of each system, as if only items of a tier (place in TIERS) were relevant: `[V]`, the
    users who have some."""
    truth = judged.truth.where(items.tier[judged.truth.item_ids] == tier)
    members = np.flatnonzero(truth.sizes > 0)
    truth = truth.take(members)
    if not len(members):
        return {}
    k, found = config.primary_k, {}
    for name, lists in systems.items():
        of = ranking_metrics(truth.contains(lists[members]), truth.sizes, [k])
        found[name] = {(metric, k): of[metric, k] for metric in ("recall", "hit_rate")}
        found[name]["hits", k] = of["precision", k] * k
    return found


def places_of_tier(systems: Systems, items: CatalogueFacts, tier: int, config: EvaluationConfig) -> dict[str, PerUser]:
    """Share of each user's list that a tier has, whether anybody liked it or not."""
    k, in_tier = config.primary_k, (items.tier == tier).astype(np.float64)
    return {name: {("share_of_places", k): mean_over_list(lists[:, :k], in_tier)} for name, lists in systems.items()}
