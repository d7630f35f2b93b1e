import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from expectations.datasets import ITEMS, POPULARITY
from models.evaluation.catalogue import TIERS, CatalogueFacts
from models.evaluation.config import EvaluationConfig
from models.evaluation.judging import evaluation_table
from models.evaluation.truth import Judged
from models.metrics.item_sets import ItemSets

CONFIG = EvaluationConfig(ks=(1, 3), primary_k=2, num_resamples=200)
NUM_USERS, NUM_ITEMS = 60, 12
STUDY = ("study_precision", "study_diversity", "study_combined")


@pytest.fixture(scope="module")
def catalogue() -> CatalogueFacts:
    genres = [["drama"], ["comedy"], ["drama", "comedy"]]
    items = [{"item_id": i, "genres": genres[i % 3]} for i in range(NUM_ITEMS)]
    popularity = [
        {"item_id": i, "score": 1.0, "num_users": 2 * (NUM_ITEMS - i), "rank": i + 1} for i in range(NUM_ITEMS - 2)
    ]
    return CatalogueFacts.of(
        pa.Table.from_pylist(items, schema=ITEMS.schema), pa.Table.from_pylist(popularity, schema=POPULARITY.schema)
    )


@pytest.fixture(scope="module")
def judged() -> Judged:
    """User u liked item u % 12 and nothing else, having watched before u % 3 items that are all dramas first."""
    users = np.arange(NUM_USERS)
    truth = ItemSets.from_pairs(users, users % NUM_ITEMS, NUM_USERS)
    watched = ItemSets(np.concatenate([[0], np.cumsum(users % 3)]), np.tile([0, 3, 6], NUM_USERS // 3))
    return Judged(users, truth, truth.where(np.zeros(NUM_USERS, dtype=bool)), watched, {})


@pytest.fixture(scope="module")
def table(judged: Judged, catalogue: CatalogueFacts) -> pa.Table:
    liked = np.arange(NUM_USERS)[:, None] % NUM_ITEMS
    lists = {
        "final": np.add(liked, [0, 1, 2]) % NUM_ITEMS,
        "late": np.add(liked, [2, 0, 1]) % NUM_ITEMS,
        "blind": np.add(liked, [1, 2, 3]) % NUM_ITEMS,
        "narrow": np.tile([[0, 1, 2]], (NUM_USERS, 1)),
    }
    segments = {"all": np.ones(NUM_USERS, dtype=bool), "lifecycle=new": np.arange(NUM_USERS) < NUM_ITEMS}
    return evaluation_table(lists, judged, segments, catalogue, CONFIG)


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


def test_popular_lists_are_less_novel(table: pa.Table, catalogue: CatalogueFacts):
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
    assert row(table, "narrow", "recall", segment="lifecycle=new")["num_users"] == NUM_ITEMS
    assert row(table, "narrow", "recall", segment="lifecycle=new")["value"] == pytest.approx(2 / NUM_ITEMS)


def test_item_segments_count_only_relevant_items_of_their_kind(table: pa.Table, catalogue: CatalogueFacts):
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
    assert compared["p_value"] < 0.01, "the same difference for every user is no chance"
    assert {r["metric"] for r in table.to_pylist() if r["p_value"] is not None} == {"ndcg_vs_final", "recall_vs_final"}
    finals = table.filter(pc.equal(table["system"], "final"))["metric"].to_pylist()
    assert not any("vs" in m for m in finals)


def test_segments_of_users_are_compared_too(judged: Judged, catalogue: CatalogueFacts):
    """Half of the users lose by the other system what the other half wins: nothing at all, and a lot in each half."""
    first = np.arange(NUM_USERS) < NUM_USERS // 2
    right, wrong = np.arange(NUM_USERS)[:, None] % NUM_ITEMS, (np.arange(NUM_USERS)[:, None] + 1) % NUM_ITEMS
    lists = {"final": np.where(first[:, None], right, wrong), "other": np.where(first[:, None], wrong, right)}
    segments = {"all": np.ones(NUM_USERS, dtype=bool), "history=0": first, "history=1-4": ~first}
    table = evaluation_table(lists, judged, segments, catalogue, CONFIG)
    whole, lost, won = (row(table, "other", "ndcg_vs_final", segment=segment) for segment in segments)
    assert (whole["value"], lost["value"], won["value"]) == (0, -1, 1)
    assert whole["p_value"] > 0.5 and max(lost["p_value"], won["p_value"]) < 0.01
    assert lost["num_users"] == won["num_users"] == NUM_USERS // 2


def test_without_genres_there_is_no_diversity_rather_than_a_perfect_one(judged: Judged, catalogue: CatalogueFacts):
    plain = dataclasses.replace(
        catalogue,
        genre_vectors=catalogue.genre_vectors[:, :0],
        genre_shares=catalogue.genre_shares[:, :0],
        primary_genre=np.full(NUM_ITEMS, -1),
    )
    lists = {"final": np.tile([[0, 1, 2]], (NUM_USERS, 1))}
    table = evaluation_table(lists, judged, {"all": np.ones(NUM_USERS, dtype=bool)}, plain, CONFIG)
    assert not {"diversity", "miscalibration", *STUDY} & set(table["metric"].to_pylist())


def test_overlap_is_the_share_of_the_list_that_is_also_served(table: pa.Table):
    assert row(table, "late", "overlap_with_final")["value"] == 0.5  # {u, u+1} against {u+2, u}
    assert row(table, "blind", "overlap_with_final")["value"] == 0.5


def test_the_studys_figures_ask_for_genres_only(table: pa.Table):
    """Who has a history watched dramas (items 0, 3, 6): items 0 and 2 are dramas first, item 1 is a comedy."""
    precision, diversity, both = (row(table, "narrow", metric, 3) for metric in STUDY)
    assert precision["value"] == pytest.approx(2 / 3)
    assert precision["num_users"] == both["num_users"] == NUM_USERS * 2 // 3  # a third has no history
    assert (diversity["value"], diversity["num_users"]) == (1, NUM_USERS)
    assert both["value"] == pytest.approx(0.8)
    assert both["low"] <= both["value"] <= both["high"]
    assert row(table, "blind", "study_diversity", 3)["value"] == 1  # no hit, and as varied as any


def test_combined_is_of_the_means_and_not_the_mean_of_the_users(table: pa.Table):
    precision, diversity, both = (row(table, "final", metric, 1)["value"] for metric in STUDY)
    assert (precision, diversity) == (0.5, 1)  # half of those with a history are shown a drama, half a comedy
    assert both == pytest.approx(2 / 3)  # user by user it would be .5


def test_lists_in_the_users_proportions_are_calibrated(table: pa.Table):
    """Item 0 is a drama and nothing else, as what everybody watched."""
    narrow = row(table, "narrow", "miscalibration", 1)
    assert (narrow["value"], narrow["num_users"]) == (pytest.approx(0), NUM_USERS * 2 // 3)
    assert row(table, "narrow", "miscalibration", 3)["value"] == pytest.approx(-np.log(0.5 + 0.5 * 0.01))


def test_every_cut_off_has_the_figures_of_lists(table: pa.Table):
    metrics = {"mrr", "map", "serendipity", "average_popularity", "miscalibration", *STUDY}
    for k in (1, 2, 3):
        rows = table.filter((pc.field("segment") == "all") & (pc.field("k") == k))
        for system in ("final", "narrow"):
            assert metrics <= set(rows.filter(pc.equal(rows["system"], system))["metric"].to_pylist())
    segment = table.filter(pc.equal(table["segment"], "lifecycle=new"))
    assert metrics <= set(segment["metric"].to_pylist())


def test_only_hits_that_are_not_popular_are_serendipitous(table: pa.Table):
    assert row(table, "blind", "serendipity")["value"] == 0
    assert row(table, "narrow", "serendipity")["value"] == 0  # the most watched in their order
    assert row(table, "final", "serendipity")["value"] > 0


def test_hits_and_places_add_up_over_the_kinds_of_items(table: pa.Table):
    tiers = [f"items={tier}" for tier in TIERS]
    for system in ("final", "narrow"):
        hits = [row(table, system, "hits", segment=tier) for tier in tiers]
        total = sum(r["value"] * r["num_users"] for r in hits)
        assert total == pytest.approx(row(table, system, "precision")["value"] * CONFIG.primary_k * NUM_USERS)
        assert sum(row(table, system, "share_of_places", segment=t)["value"] for t in tiers) == pytest.approx(1)
    assert row(table, "narrow", "share_of_places", segment="items=head")["value"] == 1
