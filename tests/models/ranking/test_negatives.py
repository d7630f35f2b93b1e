import numpy as np
import pyarrow as pa
import pytest

from expectations.datasets import WATCHES
from models.ranking.config import RankerConfig
from models.ranking.labels import WATCH_COLUMNS
from models.ranking.negatives import NegativeSampler, pair_keys, positive_rows, with_negatives


def _watches(user_ids: list[int], item_ids: list[int], seconds: list[float | None], positive: list[bool]) -> pa.Table:
    nothing = [None] * len(user_ids)
    columns = (nothing, user_ids, item_ids, seconds, nothing, positive)
    schema = pa.schema([WATCHES.schema.field(name) for name in WATCH_COLUMNS])
    return pa.table(dict(zip(WATCH_COLUMNS, columns, strict=True)), schema=schema)


def test_what_was_watched_is_never_drawn() -> None:
    watched = pair_keys(np.zeros(8, dtype=int), np.arange(8))
    sampler = NegativeSampler(np.arange(10), None, watched)
    drawn = sampler.draw(np.zeros(500, dtype=int), np.random.default_rng(0))
    assert set(drawn) <= {8, 9, -1} and (drawn >= 0).mean() > 0.8
    other = sampler.draw(np.ones(500, dtype=int), np.random.default_rng(0))
    assert set(other) == set(range(10)), "another user has not watched them"


def test_a_user_who_watched_everything_gets_none() -> None:
    sampler = NegativeSampler(np.arange(3), None, pair_keys(np.zeros(3, dtype=int), np.arange(3)))
    assert set(sampler.draw(np.zeros(5, dtype=int), np.random.default_rng(0))) == {-1}
    positive = positive_rows([_watches([0], [1], [9.0], [True])], RankerConfig())[0]
    assert len(with_negatives(positive, sampler, RankerConfig(), np.random.default_rng(0))) == 1


def test_popular_items_are_drawn_more_often_with_popularity_only() -> None:
    item_ids, popularity = np.array([3, 8]), np.array([0.0, 255.0])
    users = np.zeros(20_000, dtype=int)
    uniform = NegativeSampler(item_ids, None, np.empty(0, np.int64)).draw(users, np.random.default_rng(0))
    popular = NegativeSampler(item_ids, popularity, np.empty(0, np.int64)).draw(users, np.random.default_rng(0))
    assert (uniform == 8).mean() == pytest.approx(0.5, abs=0.02)
    assert (popular == 8).mean() == pytest.approx(64 / 65, abs=0.01), "256 to the power 0.75 is 64"


def test_positives_have_labels_and_negatives_none() -> None:
    days = [_watches([0, 1], [5, 6], [30.0, None], [True, True]), _watches([2], [7], [90.0], [False])]
    first, second = positive_rows(days, RankerConfig())
    assert first.item_id.tolist() == [5, 6] and len(second) == 0, "what is not positive is no example"
    assert first.watch_s.tolist() == [30, 60], "seconds that are not known are the mean of all days"
    sampler = NegativeSampler(np.arange(20), None, np.empty(0, np.int64))
    rows = with_negatives(first, sampler, RankerConfig(num_negatives=3), np.random.default_rng(0))
    assert rows.click.tolist() == [1] * 2 + [0] * 6
    assert rows.user_id.tolist() == [0, 1, 0, 0, 0, 1, 1, 1]
    assert rows.watch_s[2:].tolist() == [0] * 6 and np.isnan(rows.completed).all()
