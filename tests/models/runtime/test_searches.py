"""What users searched for reaches the query tower, wherever it is asked from."""

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.made_bundle import table
from models.retrieval.queries import query_vectors
from models.runtime.encoding import encode, hash_words
from models.runtime.user_tower import SEARCHED, UserTower, searching

FIELD = {"name": "user_searched", "column": SEARCHED, "kind": "hashed", "buckets": 1000, "length": 3}
WORDS = {**FIELD, "hashing": "words", "pieces": 1}
TRIGRAMS = {**FIELD, "hashing": "trigrams", "pieces": 4}
TYPED = {3: ["dark", "river"], 7: ["news"]}


@pytest.fixture
def asked(monkeypatch):
    """What the tower was told of whom: user -> words."""
    told: dict[int, list[str]] = {}
    made = UserTower.vectors

    def vectors(self, users, histories):
        told.update(zip(users["user_id"].to_pylist(), users[SEARCHED].to_pylist(), strict=True))
        return made(self, users, histories)

    monkeypatch.setattr(UserTower, "vectors", vectors)
    return told


@pytest.fixture
def searched(tables):
    """Histories, not in order of users, of whom two have searched."""
    histories = tables["histories"]
    words = [TYPED.get(user) for user in histories["user_id"].to_pylist()]
    place = histories.column_names.index(SEARCHED)
    histories = histories.set_column(place, SEARCHED, pa.array(words, pa.list_(pa.string())))
    return histories.take(np.random.default_rng(0).permutation(len(histories)))


def test_words_are_hashed_whole_or_by_their_trigrams():
    whole = hash_words(["river", "rivers", "river"], WORDS)
    assert whole.shape == (3, 1) and whole[0] == whole[2] != whole[1] and whole.min() > 0 and whole.max() <= 1000
    one, other, short, empty = hash_words(["river", "rivets", "a", ""], TRIGRAMS)
    assert one[:3].tolist() == other[:3].tolist() and one[3] != other[3]
    assert short[0] > 0 and not short[1:].any() and not empty.any()


def test_the_last_words_count_and_the_others_are_padding():
    typed = pa.chunked_array([[["a", "b", "c", "d"], None], [[], ["b"]]], pa.list_(pa.string()))
    got = encode(pa.table({SEARCHED: typed}), [WORDS])["user_searched"]
    a, b, c, d = hash_words(["a", "b", "c", "d"], WORDS)[:, 0]
    assert got.tolist() == [[b, c, d], [0, 0, 0], [0, 0, 0], [0, 0, b]] and a not in got


def test_histories_from_before_searches_change_nothing(tables):
    assert searching(tables["users"], tables["histories"].drop_columns(SEARCHED)) is tables["users"]


def test_the_night_and_the_service_tell_the_tower(asked, searched, remade):
    made = remade(histories=searched)  # with the query vectors of everybody
    assert {user: words for user, words in asked.items() if words} == TYPED and len(asked) == 40
    asked.clear()
    made.watch(3, [5])
    made.retrieve("towers", [3], 5)
    assert asked == {3: TYPED[3]}
    made.watch(3, [6])
    made.watch(39, [6])  # who has no history
    made.retrieve("towers", [3, 39], 5)
    assert (asked[3], asked[39]) == (TYPED[3], [])


def test_visitors_have_searched_for_nothing(asked, searched, remade):
    made = remade(histories=searched)
    made.recommend_for_history([1, 2], {"age": 30})
    made.recommend_for_history([])
    assert not asked[-1]


def test_an_index_is_measured_with_what_it_will_be_asked(asked, searched, path):
    query_vectors(UserTower(path), table("users", user_id=[1, 3, 7]), searched, most=10, seed=0)
    assert asked == {1: None, **TYPED}
