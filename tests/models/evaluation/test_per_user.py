import numpy as np
import pyarrow as pa
import pytest

from expectations.datasets import ITEMS, POPULARITY
from models.evaluation.catalogue import CatalogueFacts
from models.evaluation.config import EvaluationConfig
from models.evaluation.per_user import Tastes, places_of_tier, values_in_tier, values_per_user
from models.evaluation.truth import Judged
from models.metrics.item_sets import ItemSets

CONFIG = EvaluationConfig(ks=(1, 3), primary_k=2)
HEAD, TORSO, TAIL = range(3)


@pytest.fixture
def items() -> CatalogueFacts:
    """Items 0 to 3, by falling popularity; the last one has no genre."""
    genres = [["drama", "war"], ["comedy"], ["drama"], []]
    catalogue = [{"item_id": i, "genres": g} for i, g in enumerate(genres)]
    watchers = [{"item_id": i, "score": 1.0, "num_users": n, "rank": i + 1} for i, n in enumerate((50, 30, 15, 5))]
    return CatalogueFacts.of(
        pa.Table.from_pylist(catalogue, schema=ITEMS.schema), pa.Table.from_pylist(watchers, schema=POPULARITY.schema)
    )


@pytest.fixture
def judged() -> Judged:
    """The first user, who watched two dramas, likes items 1 and 2; the second, without a history, item 0."""
    truth = ItemSets.from_pairs(np.array([0, 0, 1]), np.array([1, 2, 0]), 2)
    nothing = ItemSets(np.zeros(3, dtype=np.int64), np.empty(0, dtype=np.int64))
    return Judged(np.arange(2), truth, nothing, ItemSets(np.array([0, 2, 2]), np.array([2, 2])), {})


LISTS = np.array([[2, 1, 0], [3, 0, -1]])


def test_each_user_has_the_figures_of_their_own_list(items: CatalogueFacts, judged: Judged):
    values = values_per_user(LISTS, judged, items, Tastes.of(judged, items), CONFIG)
    expected = {
        ("precision", 2): [1, 0.5],
        ("mrr", 3): [1, 0.5],
        ("average_popularity", 3): [0.95 / 3, 0.55 / 2],
        ("serendipity", 1): [1 - 0.5, 0],  # item 2 is third of four
        ("study_precision", 2): [0.5, np.nan],
        ("study_diversity", 3): [2 / 3, 1 / 3],
        ("miscalibration", 1): [0, np.nan],
        ("diversity", 2): [1, 1],
    }
    assert {key: values[key].tolist() for key in expected} == {
        key: pytest.approx(v, nan_ok=True) for key, v in expected.items()
    }
    assert {k for metric, k in values if metric in ("study_precision", "map", "miscalibration")} == {1, 2, 3}
    assert {k for metric, k in values if metric in ("novelty", "diversity")} == {2}


def test_a_kind_of_item_is_judged_for_those_who_like_some(items: CatalogueFacts, judged: Judged):
    torso = values_in_tier({"final": LISTS}, judged, items, TORSO, CONFIG)["final"]
    assert {key: v.tolist() for key, v in torso.items()} == {("recall", 2): [1], ("hit_rate", 2): [1], ("hits", 2): [1]}
    assert values_in_tier({"final": LISTS}, judged, items, HEAD, CONFIG)["final"]["hits", 2].tolist() == [1]
    assert places_of_tier({"final": LISTS}, items, HEAD, CONFIG)["final"]["share_of_places", 2].tolist() == [0, 0.5]


def test_a_kind_that_nobody_likes_has_no_figures(items: CatalogueFacts, judged: Judged):
    nobody = judged.take(np.array([1]))
    assert values_in_tier({"final": LISTS[1:]}, nobody, items, TAIL, CONFIG) == {}
