"""Every metric that RecTools has too, on the same tables; where its definition is another, ours is turned into it."""

from typing import Any

import numpy as np
import pytest

from models.metrics.beyond_accuracy import (
    coverage,
    intra_list_diversity,
    mean_over_list,
    obviousness,
    recommendation_counts,
    serendipity,
)  # fmt: skip
from models.metrics.tables import Ranking
from tests.models.metrics.peer import PYTHON, Tables, random_tables, rectools

KS = (1, 5, 20)

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="RecTools is not there: make peers")


@pytest.fixture(scope="module", params=(0, 1))
def tables(request: pytest.FixtureRequest) -> Tables:
    return random_tables(request.param)


@pytest.fixture(scope="module")
def theirs(tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return rectools(tables, KS, tmp_path_factory.mktemp("peer"))


@pytest.fixture(scope="module")
def ranking(tables: Tables) -> Ranking:
    return Ranking.of_tables(tables.ranked, tables.relevant, max(KS))


@pytest.mark.parametrize("k", KS)
def test_precision_recall_hit_rate_ndcg_and_mrr_are_the_same(ranking: Ranking, theirs: dict[str, Any], k: int):
    values = ranking.metrics(KS)
    same = ("precision", "recall", "hit_rate", "ndcg", "mrr")
    assert {m: values[m, k].mean() for m in same} == pytest.approx({m: theirs[f"{m}@{k}"] for m in same})


@pytest.mark.parametrize("k", KS)
def test_map_and_ndcg_differ_by_what_they_are_divided_by(ranking: Ranking, theirs: dict[str, Any], k: int):
    """MAP: ours is over min(k, relevant), theirs over the relevant or k. NDCG: their default ideal has k hits."""
    values, relevant = ranking.metrics(KS), ranking.truth.sizes
    most = np.minimum(relevant, k)
    ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
    assert (values["map", k] * most / relevant).mean() == pytest.approx(theirs[f"map@{k}"])
    assert (values["map", k] * most / k).mean() == pytest.approx(theirs[f"map_of_k@{k}"])
    assert (values["ndcg", k] * ideal[most - 1] / ideal[-1]).mean() == pytest.approx(theirs[f"ndcg_of_k@{k}"])


@pytest.mark.parametrize("k", KS)
def test_what_lists_are_besides_right_is_the_same(tables: Tables, theirs: dict[str, Any], k: int):
    lists, watchers = tables.lists[:, :k], tables.num_watchers
    popularity = mean_over_list(lists, watchers / watchers.sum())
    assert popularity.mean() == pytest.approx(theirs[f"average_popularity@{k}"])
    # Theirs is of the share of users, and leaves the unwatched at one watcher; ours is of the share of all watching.
    bits = -np.log2(np.maximum(watchers, 1) / len(np.unique(tables.train[:, 0])))
    assert mean_over_list(lists, bits).mean() == pytest.approx(theirs[f"novelty@{k}"])
    assert coverage(recommendation_counts(lists, tables.num_items)) == pytest.approx(theirs[f"coverage@{k}"])
    if k > 1:  # one item has no pair: theirs is 0 there, ours unknown
        # Between items with one genre each, their Hamming distance is 2 where our one minus the cosine is 1.
        diversity = intra_list_diversity(lists, np.eye(5)[tables.genre])
        assert diversity.mean() == pytest.approx(theirs[f"diversity@{k}"] / 2)


@pytest.mark.parametrize("k", KS)
def test_serendipity_is_the_same_where_no_two_items_are_equally_popular(
    tables: Tables, ranking: Ranking, theirs: dict[str, Any], k: int
):
    """Theirs numbers the different counts, so that equal items move all below them up; ours the items."""
    obvious = obviousness(tables.num_watchers, tables.num_items)
    hits = ranking.truth.contains(ranking.lists)
    values = serendipity(ranking.lists, hits, obvious, tables.num_items, KS)
    assert values["serendipity", k].mean() == pytest.approx(theirs[f"serendipity@{k}"])
    assert values["serendipity", k].mean() > 0
