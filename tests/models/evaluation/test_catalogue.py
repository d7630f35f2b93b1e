import numpy as np
import pyarrow as pa
import pytest

from expectations.datasets import ITEMS, POPULARITY
from models.evaluation.catalogue import TIERS, CatalogueFacts


@pytest.fixture
def catalogue() -> CatalogueFacts:
    genres = {1: ["drama", "crime"], 0: ["drama"], 3: None, 4: [], 6: ["comedy"]}
    items = pa.Table.from_pylist([{"item_id": i, "genres": g} for i, g in genres.items()], schema=ITEMS.schema)
    watchers = {6: 50, 1: 25, 0: 20, 3: 5, 99: 70}  # 99 came after the cut
    rows = [
        {"item_id": i, "score": float(n), "num_users": n, "rank": r}
        for r, (i, n) in enumerate(watchers.items(), start=1)
    ]
    return CatalogueFacts.of(items, pa.Table.from_pylist(rows[::-1], schema=POPULARITY.schema))


def test_genres_become_unit_vectors_and_none_becomes_zero(catalogue: CatalogueFacts):
    vectors = catalogue.genre_vectors
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 0, 0, 0, 0, 1])
    assert vectors[0] @ vectors[1] == pytest.approx(1 / np.sqrt(2))
    assert vectors[0] @ vectors[6] == 0


def test_tiers_split_the_watching_at_half_and_at_four_fifths(catalogue: CatalogueFacts):
    tiers = {int(i): TIERS[catalogue.tier[i]] for i in catalogue.item_ids}
    assert tiers == {6: "head", 1: "torso", 0: "torso", 3: "tail", 4: "cold"}


def test_popularity_keeps_the_catalogue_only(catalogue: CatalogueFacts):
    assert catalogue.watched_share.sum() == pytest.approx(1)
    assert catalogue.watched_share[6] == pytest.approx(0.5)
    shares = 2.0 ** -catalogue.self_information[catalogue.item_ids]
    assert shares == pytest.approx(np.array([21, 26, 6, 1, 51]) / 105)


def test_the_first_genre_is_the_primary_one_and_shares_add_up(catalogue: CatalogueFacts):
    comedy, drama = 0, 2
    assert catalogue.primary_genre.tolist() == [drama, drama, -1, -1, -1, -1, comedy]
    assert catalogue.genre_shares[1].tolist() == [0, 0.5, 0.5]
    assert catalogue.genre_shares.sum(axis=1).tolist() == [1, 1, 0, 0, 0, 0, 1]


def test_the_most_watched_item_is_the_most_obvious(catalogue: CatalogueFacts):
    assert catalogue.obviousness[catalogue.item_ids] == pytest.approx([3 / 5, 4 / 5, 2 / 5, 0, 1])
