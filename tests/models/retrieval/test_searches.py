"""Searches in training: nothing later than the night before, the same words as in serving, and tastes told by them."""

import datetime
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from models.config import FitConfig
from models.retrieval.config import TowersConfig
from models.retrieval.examples import Examples, ExampleShards, write_examples
from models.retrieval.searches import WORD, SearchInput, distinct_words, last_words, read_words
from models.retrieval.training import TrainedTowers, train_towers
from models.runtime.encoding import encode

DAY = 86_400


def words_of(rows, users, moments, length, words) -> list[list[str]]:
    found = last_words(rows, np.asarray(users), np.asarray(moments), length)
    return [[words[w - 1].as_py() for w in row if w] for row in found]


def test_the_last_words_are_those_of_a_slow_reference():
    rng = np.random.default_rng(0)
    rows = np.empty(300, dtype=WORD)
    rows["user"], rows["word"] = rng.integers(0, 8, 300), rng.integers(1, 20, 300)
    rows["time"], rows["search"], rows["place"] = rng.integers(0, 15, 300), rng.integers(0, 99, 300), np.arange(300)
    users, moments = rng.integers(0, 10, 80), rng.integers(-1, 17, 80)
    found = last_words(rows, users, moments, 4)
    for user, moment, got in zip(users, moments, found, strict=True):
        own = [r for r in rows.tolist() if r[0] == user and r[2] < moment]
        expected = [r[1] for r in sorted(own, key=lambda r: (r[2], r[3], r[4]))][-4:]
        assert got.tolist() == [0] * (4 - len(expected)) + expected
    assert (found > 0).all(axis=1).any() and (found == 0).all(axis=1).any()


def test_nobody_searched():
    assert last_words(np.empty(0, WORD), np.array([1, 2]), np.array([5, 5]), 3).tolist() == [[0] * 3] * 2
    assert distinct_words([]).to_pylist() == []
    assert SearchInput.of([], TowersConfig()).take(np.zeros((2, 10), int)) == {}


def test_words_are_read_in_the_order_they_were_typed(tmp_path, write_searches):
    paths = [
        write_searches(tmp_path / "b.parquet", [1, 2, 1], [["dark", "river"], [], ["a"]], [30, 20, 10]),
        write_searches(tmp_path / "a.parquet", [1], [["river"]], [50]),
    ]
    words = distinct_words(paths)
    assert words.to_pylist() == ["a", "dark", "river"]
    rows = np.concatenate([part for path in paths for part in read_words(path, words)])
    assert words_of(rows, [1, 2], [2**60] * 2, 9, words) == [["river", "dark", "river", "a"], []]
    assert words_of(rows, [1], [2**60], 2, words) == [["river", "a"]]


@pytest.mark.parametrize("hashing", ["words", "trigrams"])
def test_training_and_serving_see_the_same_buckets(hashing):
    config = TowersConfig(search_words=3, search_buckets=50, search_hashing=hashing)
    words = ["ab", "notebooks", "river"]
    searches = SearchInput.of(words, config)
    trained = searches.take(np.array([[0, 1, 3], [2, 2, 1], [0, 0, 0]], dtype=np.int32))["user_searched"]
    typed = [["ab", "river"], ["new", "notebooks", "notebooks", "ab"], None]
    table = pa.table({"searched": pa.array(typed, pa.list_(pa.string()))})
    assert encode(table, searches.fields)["user_searched"].tolist() == trained.tolist()


def examples_of(tmp_path, planted, searches) -> tuple[Examples, ExampleShards]:
    folder = tmp_path / f"shards-{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    midnight = datetime.datetime.combine(planted.last_day, datetime.time(), datetime.UTC)
    shards = write_examples(
        planted.watches, planted.items["item_id"].to_numpy(), folder, split=midnight - datetime.timedelta(days=1),
        max_examples_per_user=100, max_validation_examples=1000, seed=0, searches=searches, num_words=4,
    )  # fmt: skip
    return shards.read(0), shards


def test_an_example_knows_what_was_typed_before_its_day_and_nothing_later(tmp_path, planted, write_searches, write):
    """One user watches at noon of five days, 0.5 to 4.5 days before the end, and types a word every six hours."""
    noons = np.arange(5)[::-1] + 0.5
    path = write(tmp_path / "w.parquet", np.zeros(5), np.arange(5), noons * DAY)
    hours = np.arange(20) * 6.0 + 3
    typed = write_searches(tmp_path / "s.parquet", [0] * 20, [[f"{h:.0f}h"] for h in hours], hours * 3600)
    train, shards = examples_of(tmp_path, replace(planted, watches=[path]), [typed])
    told = [[shards.words[w - 1] for w in row if w] for row in train.searched]
    # Midnight before the watch 4.5 days back is 5 days = 120 hours back, and so on; the split is 2 days back.
    assert told == [[], ["117h", "111h", "105h", "99h"], ["93h", "87h", "81h", "75h"]]
    assert train.age_days.tolist() == [2.5, 1.5, 0.5]
    held = [[shards.words[w - 1] for w in row if w] for row in shards.validation.searched]
    assert held == [["69h", "63h", "57h", "51h"]] * 2 and shards.validation.age_days.tolist() == [0, 0]


def test_shards_change_nothing(tmp_path, planted, write_searches):
    rng = np.random.default_rng(0)
    tokens = [[str(w)] for w in rng.integers(0, 50, 4000)]
    typed = write_searches(tmp_path / "s.parquet", rng.integers(0, 300, 4000), tokens, rng.random(4000) * 28 * DAY)
    midnight = datetime.datetime.combine(planted.last_day, datetime.time(), datetime.UTC)
    found = []
    for number, rows in enumerate((10_000_000, 2000)):
        (tmp_path / str(number)).mkdir()
        shards = write_examples(
            planted.watches, planted.items["item_id"].to_numpy(), tmp_path / str(number), split=midnight,
            max_examples_per_user=100, max_validation_examples=10**6, seed=0, searches=[typed], num_words=4,
            rows_per_shard=rows,
        )  # fmt: skip
        parts = [shards.read(n) for n in range(len(shards.paths))] + [shards.validation]
        columns = [(p.user, p.positives(), p.age_days, *p.searched.T) for p in parts]
        found.append(sorted(row for part in columns for row in zip(*(c.tolist() for c in part), strict=True)))
        assert list((tmp_path / str(number)).glob("*.bin")) == []
    assert found[0] == found[1] and len({row[3:] for row in found[0]}) > 1000


@pytest.fixture(scope="module")
def searchers(planted):
    """The planted audience without any attribute: histories are short, and genres are typed on every day."""
    users = planted.users.set_column(planted.users.column_names.index("region"), "region", pa.nulls(300, pa.string()))
    return replace(planted, users=users)


def recall(tmp_path, searchers, typed, **changes) -> float:
    scratch = tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}"
    scratch.mkdir()
    config = TowersConfig(
        dim=16, hidden=32, batch_size=128, mixed_negatives=128, history_dropout=0.5, search_buckets=500,
        validation_k=20, fit=FitConfig(max_epochs=5, learning_rate=1e-2, patience=5), **changes,
    )  # fmt: skip
    trained: TrainedTowers = train_towers(
        searchers.watches, searchers.users, searchers.items, config,
        last_day=searchers.last_day, scratch=scratch, searches=typed,
    )  # fmt: skip
    assert any(f["kind"] == "hashed" for f in trained.user_fields) == bool(typed and config.search_words)
    assert trained.log.best_metric is not None
    return trained.log.best_metric


def test_searches_alone_tell_a_taste(tmp_path, searchers, write_searches):
    """With one item of history, who searched for a genre is found by it, and by shuffled words nobody is."""
    users = np.repeat(np.arange(300), 28)
    time = np.tile(np.arange(28), 300) * DAY + 3600.0
    genres = [["drama", "comedy", "crime", "nature", "sport", "music", "news", "kids"][t] for t in searchers.taste]
    told = [[genres[user]] for user in users]
    shuffled = [told[n] for n in np.random.default_rng(0).permutation(len(told))]
    settings = {"history_length": 1, "recent_lengths": ()}
    typed = write_searches(tmp_path / "told.parquet", users, told, time)
    noise = write_searches(tmp_path / "noise.parquet", users, shuffled, time)
    without = recall(tmp_path, searchers, [], **settings)
    assert recall(tmp_path, searchers, [typed], **settings) > 1.3 * without
    assert recall(tmp_path, searchers, [noise], **settings) < 1.1 * without
    assert recall(tmp_path, searchers, [typed], **settings | {"search_words": 0}) == without
