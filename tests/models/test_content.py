"""TF-IDF neighbours against a reference written out term by term."""

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.made_bundle import make_tables, table
from models.content import content_similarity, terms
from models.content_config import ContentConfig

CONFIG = ContentConfig(num_neighbours=7, min_similarity=0.0)


@pytest.fixture(scope="module")
def items():
    return make_tables(5, 60)["items"]


def cosines(items, max_item_share):
    """Unit vectors of (1 + log tf) * (1 + log((1 + n) / (1 + df))), terms of one item or of too many left out."""
    documents = [Counter(words) for words in terms(items)]
    frequency = Counter(word for document in documents for word in document)
    most = max(2, int(max_item_share * len(documents)))
    kept = sorted(word for word, count in frequency.items() if 2 <= count <= most)
    vectors = np.zeros((len(documents), len(kept)))
    for row, document in enumerate(documents):
        for column, word in enumerate(kept):
            if document[word]:
                rarity = 1 + math.log((1 + len(documents)) / (1 + frequency[word]))
                vectors[row, column] = (1 + math.log(document[word])) * rarity
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors @ vectors.T


def by_item(similarity):
    found: dict[int, list[dict]] = {}
    for row in similarity.to_pylist():
        found.setdefault(row["item_id"], []).append(row)
    return found


def test_neighbours_equal_the_reference(items):
    expected = cosines(items, CONFIG.max_item_share)
    np.fill_diagonal(expected, -1)
    found = by_item(content_similarity(items, CONFIG))
    assert len(found) == 60
    for item, rows in found.items():
        best = np.sort(expected[item])[::-1][:7]
        assert [r["rank"] for r in rows] == list(range(1, len(rows) + 1))
        np.testing.assert_allclose([r["score"] for r in rows], best[best > 1e-6], rtol=1e-5)
        np.testing.assert_allclose(
            [r["score"] for r in rows], expected[item, [r["neighbour_id"] for r in rows]], rtol=1e-5
        )


def test_blocks_and_the_order_of_rows_change_nothing(items, monkeypatch):
    expected = content_similarity(items, CONFIG)
    monkeypatch.setattr("models.content._BLOCK", 7)
    assert content_similarity(items.take(np.random.default_rng(0).permutation(60)), CONFIG).equals(expected)


def test_among_equals_the_newest_comes_first():
    uploaded = [5, 9, 7, 8]
    alike = table(
        "items",
        item_id=range(4),
        genres=[["drama"]] * 2 + [["drama"]] * 2,
        uploaded_at=uploaded,
        creator_id=[1, 1, 1, 1],
    )
    config = ContentConfig(num_neighbours=2, max_item_share=1.0)
    rows = by_item(content_similarity(alike, config))
    assert [r["neighbour_id"] for r in rows[0]] == [1, 3]
    assert [r["neighbour_id"] for r in rows[1]] == [3, 2]


def test_terms_name_their_column():
    row = table(
        "items", item_id=[0], title=["The Long Road"], genres=[["drama", "crime"]], series_id=[7], language=["en"],
        description=["A road, again."],
    )  # fmt: skip
    assert sorted(next(terms(row))) == sorted(
        ["genre=drama", "genre=crime", "series_id=7", "language=en", "the", "long", "road", "road", "again"]
    )


@pytest.mark.parametrize(("change", "shrinks"), [({"num_neighbours": 3}, True), ({"min_similarity": 0.5}, True)])
def test_settings_bound_what_is_kept(items, change, shrinks):
    fewer = content_similarity(items, ContentConfig(**({"num_neighbours": 7, "min_similarity": 0.0} | change)))
    assert 0 < fewer.num_rows < content_similarity(items, CONFIG).num_rows
    if "min_similarity" in change:
        assert min(fewer["score"].to_pylist()) >= 0.5
    else:
        assert max(fewer["rank"].to_pylist()) == 3


def test_terms_that_most_items_share_say_nothing():
    genres = [["everywhere", "a" if n % 2 else "b"] for n in range(10)]
    items = table("items", item_id=range(10), genres=genres)
    pairs = {
        share: {
            (r["item_id"] + r["neighbour_id"]) % 2
            for r in content_similarity(items, ContentConfig(max_item_share=share)).to_pylist()
        }
        for share in (0.5, 1.0)
    }
    assert pairs == {0.5: {0}, 1.0: {0, 1}}


@pytest.mark.parametrize("items", [table("items", item_id=range(5)), table("items", item_id=[3], genres=[["drama"]])])
def test_a_catalogue_that_says_nothing_has_no_neighbours(items):
    found = content_similarity(items, CONFIG)
    assert found.num_rows == 0
    assert found.schema.names == ["item_id", "neighbour_id", "score", "rank"]


def test_episodes_of_a_series_are_neighbours():
    rng = np.random.default_rng(0)
    series = np.repeat(np.arange(10), 6)
    items = table("items", item_id=np.arange(60), series_id=series, genres=[[g] for g in rng.choice(["a", "b"], 60)])
    rows = content_similarity(items, ContentConfig(num_neighbours=5))
    assert (series[rows["item_id"].to_numpy()] == series[rows["neighbour_id"].to_numpy()]).all()
    assert isinstance(rows, pa.Table)
