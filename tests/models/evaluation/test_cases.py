"""Judging a recommender beside a slow obvious way."""

from dataclasses import replace

import numpy as np
import pytest

from expectations.errors import Failure
from models.evaluation.cases import UNKNOWABLE, Case, full_ranking, mean_metric, metrics_per_user
from models.interactions import Histories, Interactions

USERS, ITEMS = 50, 30


def histories(rng: np.random.Generator, share: float) -> Histories:
    users, items = np.nonzero(rng.random((USERS, ITEMS)) < share)
    return Histories.of(users, items, USERS)


@pytest.fixture
def case() -> Case:
    rng = np.random.default_rng(0)
    past = histories(rng, 0.2)
    return Case(Interactions(past, ITEMS, ordered=False), np.arange(USERS), past, histories(rng, 0.1))


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(1).random((USERS, ITEMS), np.float32)


def row(of: Histories, user: int) -> list[int]:
    return of.items[of.offsets[user] : of.offsets[user + 1]].tolist()


def test_full_ranking_is_a_sorted_list_without_the_past(case: Case, scores: np.ndarray) -> None:
    hits = full_ranking(case, lambda users, _: scores[users], 8)
    for user in range(USERS):
        left = [item for item in np.argsort(-scores[user]).tolist() if item not in row(case.histories, user)]
        assert hits[user].tolist() == [item in row(case.relevant, user) for item in left[:8]]


def test_metrics_are_means_over_the_users(case: Case, scores: np.ndarray) -> None:
    values = metrics_per_user(case, lambda users, _: scores[users], [5, 10])
    hits = full_ranking(case, lambda users, _: scores[users], 10)
    expected = [h.sum() / len(row(case.relevant, u)) for u, h in enumerate(hits) if row(case.relevant, u)]
    assert np.nanmean(values["recall", 10]) == pytest.approx(np.mean(expected))
    assert mean_metric(case, "recall", 10)(lambda users, _: scores[users]) == pytest.approx(np.mean(expected))


def test_batches_do_not_matter(case: Case, scores: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = full_ranking(case, lambda users, _: scores[users], 8)
    monkeypatch.setattr("models.evaluation.cases.BATCH_BYTES", 4 * ITEMS * 7)
    assert np.array_equal(full_ranking(case, lambda users, _: scores[users], 8), whole)


def test_equal_scores_gain_nothing_by_the_items_numbers(case: Case) -> None:
    """A model that says nothing does as chance does, also where popular items have small numbers."""
    users = np.arange(2000)
    relevant = Histories.of(users, np.random.default_rng(0).integers(0, 3, 2000), 2000)
    empty = Histories.of(np.array([], int), np.array([], int), 2000)
    many = [
        replace(
            case, users=users, histories=empty, relevant=Histories(relevant.offsets, (relevant.items + shift) % ITEMS)
        )
        for shift in range(0, ITEMS, 3)
    ]
    hits = [
        full_ranking(one, lambda u, _: np.zeros((len(u), ITEMS), np.float32), 10).any(axis=1).mean() for one in many
    ]
    assert np.mean(hits) == pytest.approx(10 / ITEMS, abs=0.01)
    assert max(hits) < 1


def test_what_cannot_be_known_is_a_miss(case: Case, scores: np.ndarray) -> None:
    none = replace(case, relevant=Histories(case.relevant.offsets, np.full_like(case.relevant.items, UNKNOWABLE)))
    assert not full_ranking(none, lambda users, _: scores[users], ITEMS).any()
    assert (
        metrics_per_user(none, lambda users, _: scores[users], [5])["recall", 5][case.relevant.sizes > 0] == 0
    ).all()


def test_a_masked_item_is_no_hit(case: Case, scores: np.ndarray) -> None:
    again = replace(case, relevant=case.histories)
    assert not full_ranking(again, lambda users, _: scores[users], ITEMS).any()


def test_among_negatives_the_rank_counts_those_that_score_higher(case: Case, scores: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    one = Histories.of(np.arange(USERS), rng.integers(0, ITEMS, USERS), USERS)
    negatives = rng.integers(0, ITEMS, (USERS, 9))
    negatives[0, :4] = one.items[0]  # as in the public file: a negative that is the item itself does no harm
    sampled = replace(case, relevant=one, negatives=negatives)
    values = metrics_per_user(sampled, lambda users, _: scores[users], [3])
    for user in range(USERS):
        rank = 1 + sum(scores[user, n] > scores[user, one.items[user]] for n in negatives[user])
        assert values["hit_rate", 3][user] == (rank <= 3)
        assert values["ndcg", 3][user] == pytest.approx(1 / np.log2(rank + 1) if rank <= 3 else 0)


def test_scores_that_are_no_numbers_stop(case: Case, scores: np.ndarray) -> None:
    scores[3, 4] = np.nan
    with pytest.raises(Failure, match="not finite"):
        full_ranking(case, lambda users, _: scores[users], 8)


def test_the_digest_tells_test_sets_apart(case: Case) -> None:
    other = Histories(case.relevant.offsets, (case.relevant.items + 1) % ITEMS)
    assert case.digest == replace(case, train=replace(case.train, ordered=True)).digest
    some = np.zeros((USERS, 2), int)
    assert len({case.digest, replace(case, relevant=other).digest, replace(case, negatives=some).digest}) == 3
