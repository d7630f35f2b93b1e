import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from expectations.datasets import ITEMS, POPULARITY
from models.evaluation.catalogue import Catalogue
from models.evaluation.config import EvaluationConfig
from models.evaluation.judging import judge
from models.evaluation.truth import Judged
from models.metrics.item_sets import ItemSets

CONFIG = EvaluationConfig(ks=(1, 3), primary_k=2, num_resamples=200)
NUM_USERS, NUM_ITEMS = 60, 12


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    genres = [["drama"], ["comedy"], ["drama", "comedy"]]
    items = [{"item_id": i, "genres": genres[i % 3]} for i in range(NUM_ITEMS)]
    popularity = [
        {"item_id": i, "score": 1.0, "num_users": 2 * (NUM_ITEMS - i), "rank": i + 1} for i in range(NUM_ITEMS - 2)
    ]
    return Catalogue.of(
        pa.Table.from_pylist(items, schema=ITEMS.schema), pa.Table.from_pylist(popularity, schema=POPULARITY.schema)
    )


@pytest.fixture(scope="module")
def judged() -> Judged:
    """User u liked item u % 12 and nothing else."""
    users = np.arange(NUM_USERS)
    truth = ItemSets.from_pairs(users, users % NUM_ITEMS, NUM_USERS)
    return Judged(users, truth, truth.where(np.zeros(NUM_USERS, dtype=bool)), users % 3, {})


@pytest.fixture(scope="module")
def table(judged: Judged, catalogue: Catalogue) -> pa.Table:
    liked = np.arange(NUM_USERS)[:, None] % NUM_ITEMS
    lists = {
        "final": np.add(liked, [0, 1, 2]) % NUM_ITEMS,
        "late": np.add(liked, [2, 0, 1]) % NUM_ITEMS,
        "blind": np.add(liked, [1, 2, 3]) % NUM_ITEMS,
        "narrow": np.tile([[0, 1, 2]], (NUM_USERS, 1)),
    }
    segments = {"all": np.ones(NUM_USERS, dtype=bool), "lifecycle=new": np.arange(NUM_USERS) < NUM_ITEMS}
    return judge(lists, judged, segments, catalogue, CONFIG)


def row(table: pa.Table, system: str, metric: str, k: int = 2, segment: str = "all") -> dict:
    key = (pc.field("system") == system) & (pc.field("metric") == metric)
    (found,) = table.filter(key & (pc.field("k") == k) & (pc.field("segment") == segment)).to_pylist()
    return found


def test_each_row_has_a_key_of_its_own(table: pa.Table):
    keys = table.select(["system", "segment", "metric", "k"]).to_pylist()
    assert len({tuple(k.values()) for k in keys}) == len(keys)


def test_known_lists_get_their_known_figures(table: pa.Table):
    assert row(table, "final", "ndcg", 1)["value"] == 1
    assert row(table, "late", "ndcg", 1)["value"] == 0
    assert row(table, "late", "ndcg", 2)["value"] == pytest.approx(1 / np.log2(3))
    assert row(table, "late", "recall", 3)["value"] == 1
    assert row(table, "blind", "hit_rate", 3)["value"] == 0
    assert row(table, "narrow", "recall")["value"] == pytest.approx(2 / NUM_ITEMS)
    assert row(table, "narrow", "coverage")["value"] == pytest.approx(2 / NUM_ITEMS)
    assert row(table, "final", "coverage")["value"] == 1
    assert row(table, "final", "gini")["value"] == pytest.approx(0)
    assert row(table, "narrow", "gini")["value"] == pytest.approx(1 - 2 / NUM_ITEMS)
    assert row(table, "narrow", "diversity")["value"] == pytest.approx(1)  # drama beside comedy


def test_popular_lists_are_less_novel(table: pa.Table, catalogue: Catalogue):
    narrow, final = (row(table, s, "novelty")["value"] for s in ("narrow", "final"))
    assert narrow == pytest.approx(catalogue.self_information[:2].mean())
    assert narrow < final
    assert row(table, "narrow", "average_popularity")["value"] == pytest.approx(catalogue.watched_share[:2].mean())


def test_intervals_hold_the_value_and_aggregates_have_none(table: pa.Table):
    recall = row(table, "narrow", "recall")
    assert recall["low"] < recall["value"] < recall["high"]
    assert row(table, "narrow", "gini")["low"] is None


def test_segments_judge_their_own_users_at_the_primary_cut_off(table: pa.Table):
    new = table.filter(pc.equal(table["segment"], "lifecycle=new"))
    assert set(new["k"].to_pylist()) == {2}
    assert set(new["num_users"].to_pylist()) == {NUM_ITEMS}
    assert row(table, "narrow", "recall", segment="lifecycle=new")["value"] == pytest.approx(2 / NUM_ITEMS)


def test_item_segments_count_only_relevant_items_of_their_kind(table: pa.Table, catalogue: Catalogue):
    head = row(table, "narrow", "recall", segment="items=head")
    in_head = int((catalogue.tier == 0).sum())
    assert head["num_users"] == in_head * NUM_USERS // NUM_ITEMS
    assert head["value"] == pytest.approx(2 / in_head)
    assert row(table, "narrow", "recall", segment="items=cold")["value"] == 0
    assert row(table, "final", "recall", segment="items=cold")["value"] == 1


def test_every_other_system_is_compared_with_final_user_by_user(table: pa.Table):
    compared = row(table, "late", "ndcg_vs_final")
    assert compared["value"] == pytest.approx(1 / np.log2(3) - 1)
    assert compared["low"] == compared["high"] == pytest.approx(compared["value"])  # the same for every user
    assert row(table, "blind", "recall_vs_final")["value"] == -1
    finals = table.filter(pc.equal(table["system"], "final"))["metric"].to_pylist()
    assert not any("vs" in m for m in finals)


def test_without_genres_there_is_no_diversity_rather_than_a_perfect_one(judged: Judged, catalogue: Catalogue):
    plain = dataclasses.replace(catalogue, genre_vectors=catalogue.genre_vectors[:, :0])
    lists = {"final": np.tile([[0, 1, 2]], (NUM_USERS, 1))}
    table = judge(lists, judged, {"all": np.ones(NUM_USERS, dtype=bool)}, plain, CONFIG)
    assert "diversity" not in table["metric"].to_pylist()


def test_overlap_is_the_share_of_the_list_that_is_also_served(table: pa.Table):
    assert row(table, "late", "overlap_with_final")["value"] == 0.5  # {u, u+1} against {u+2, u}
    assert row(table, "blind", "overlap_with_final")["value"] == 0.5
