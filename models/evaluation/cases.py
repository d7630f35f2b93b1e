"""A case: something to learn from, whom to recommend to, and what they went on to do. And how a recommender does in it.

Shapes: B users judged, I items, C candidates, K places.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from expectations.errors import Failure
from expectations.progress import OnProgress
from models.interactions import Floats, Histories, Interactions, Ints
from models.metrics.ranking import PerUser, ranking_metrics

UNKNOWABLE = -1
"""In `relevant`, for an item that no history holds: it counts as a miss."""

BATCH_BYTES = 64 * 2**20
"""Scores that are held at a time: float32 `[batch, I]`."""

Scores = Callable[[Ints, Histories], Floats]


@dataclass(frozen=True)
class Case:
    """One judgement.

    Attributes:
        train: what may be learnt from.
        users: int `[B]`, numbers of the judged users in `train`, -1 for one that it does not know.
        histories: what each had done before, as the model takes it.
        relevant: what each did then.
        negatives: int `[B, C]`: each user's only relevant item is ranked among these, -1 where there are fewer; None
            ranks all items.
        seen: whatever each had seen before, liked or not: these items are masked in full ranking; None are the
            histories.
    """

    train: Interactions
    users: Ints
    histories: Histories
    relevant: Histories
    negatives: Ints | None = None
    seen: Histories | None = None

    @property
    def digest(self) -> str:
        """Hex digest of what is judged, which is the same under every model and seed."""
        judged = (self.users, self.relevant.offsets, self.relevant.items, self.negatives)
        told = hashlib.sha256()
        for array in judged:
            told.update(b"" if array is None else np.ascontiguousarray(array, dtype="<i8").tobytes())
        return told.hexdigest()


def metrics_per_user(
    case: Case, scores: Scores, ks: Sequence[int], on_progress: OnProgress = lambda *_: None
) -> PerUser:
    """Metrics of every judged user at several cut-offs; see `models.metrics.ranking`.

    Items with equal scores stand in a random order that is the same for all systems: numbers tell popularity in many
    data sets, so that ordering by number would favour a model that says nothing.

    Args:
        scores: `Recommender.scores`, or anything like it.
    """
    hits = full_ranking(case, scores, max(ks), on_progress) if case.negatives is None else _sampled(case, scores, ks)
    return ranking_metrics(hits, case.relevant.sizes, ks)


def full_ranking(case: Case, scores: Scores, k: int, on_progress: OnProgress = lambda *_: None) -> np.ndarray:
    """bool `[B, K]`: whether the item in each place of each list is relevant. All items but those seen before are
    ranked.

    Places are counted, not sorted for: an item's place is 1 + the items that score higher.
    """
    num_items, num_users = case.train.num_items, len(case.users)
    turn = np.random.default_rng(0).permutation(num_items)
    hits, seen = np.zeros((num_users, k), dtype=bool), case.histories if case.seen is None else case.seen
    for rows in _batches(num_users, num_items):
        batch = _finite(scores(case.users[rows], case.histories.take(rows)))
        past = seen.take(rows).known(num_items)
        batch[past.rows, past.items] = -np.inf
        for row, own in zip(rows, batch, strict=True):
            relevant = case.relevant.items[case.relevant.offsets[row] : case.relevant.offsets[row + 1]]
            places = [_place(own, item, turn, k) for item in relevant if item != UNKNOWABLE]
            hits[row, [place for place in places if place < k]] = True
        on_progress(int(rows[-1]) + 1, num_users, "users ranked")
    return hits


def _place(scores: Floats, item: int, turn: Ints, k: int) -> int:
    """Place of an item from 0, or k or more; of equal scores the one whose `turn` is earlier leads. A masked item has
    no place."""
    own = scores[item]
    higher = k if own == -np.inf else int(np.count_nonzero(scores > own))
    # Most items are far behind, and who is equal to them is of no interest.
    if higher >= k or np.count_nonzero(scores >= own) == higher + 1:
        return higher
    return higher + int(np.count_nonzero(turn[scores == own] < turn[item]))


def _sampled(case: Case, scores: Scores, ks: Sequence[int]) -> np.ndarray:
    """What `full_ranking` gives, for each relevant item among its negatives: its place is 1 + those that score higher.

    He et al., "Neural Collaborative Filtering" (WWW 2017). Not comparable with full ranking: Krichene and Rendle, "On
    Sampled Metrics for Item Recommendation" (KDD 2020).
    """
    assert case.negatives is not None and (case.relevant.sizes == 1).all()
    places = np.empty(len(case.users), dtype=np.int64)
    for rows in _batches(len(case.users), case.train.num_items):
        batch = _finite(scores(case.users[rows], case.histories.take(rows)))
        own = np.arange(len(rows))
        target = batch[own, case.relevant.items[rows]]
        beside = case.negatives[rows]
        places[rows] = ((batch[own[:, None], beside] > target[:, None]) & (beside >= 0)).sum(axis=1)
    return places[:, None] == np.arange(max(ks))


def mean_metric(case: Case, metric: str, k: int) -> Callable[[Scores], float]:
    """Scores -> the mean of one metric over the case's users."""
    return lambda scores: float(np.nanmean(metrics_per_user(case, scores, [k])[metric, k]))


def _finite(scores: Floats) -> Floats:
    """A copy to mask in; NaN would rank first or last as it happens."""
    if not np.isfinite(scores).all():
        raise Failure("a model gave scores that are not finite; look for NaN in its training, or lower its step sizes")
    return np.array(scores, dtype=np.float32)


def _batches(num_users: int, num_items: int) -> list[Ints]:
    size = max(1, BATCH_BYTES // (4 * num_items))
    return [np.arange(begin, min(begin + size, num_users)) for begin in range(0, num_users, size)]
