from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from expectations import datasets
from expectations.errors import Failure
from models.ranking.config import RankerConfig
from models.ranking.examples import (
    NOT_WATCHED,
    SHOWN,
    TOWER_SCORE,
    Examples,
    featurise,
    from_impressions,
    from_positives,
    hide_tower_score,
    split_by_time,
)
from models.ranking.labels import IMPRESSION_COLUMNS, WATCH_COLUMNS
from models.ranking.network import CLICK
from models.ranking.training import predict, train
from models.runtime.features import PAIR_FEATURES, Features

NUM_USERS, NUM_ITEMS, DAYS = 40, 30, 4


class HashedTower:
    """A user tower without a graph: histories alone decide the vector."""

    history_length = 3

    def vectors(self, users: pa.Table, histories: np.ndarray) -> np.ndarray:
        return np.cos(histories.sum(axis=1, keepdims=True) + np.arange(4)).astype(np.float32)


def _table(dataset: datasets.Dataset, **columns: Any) -> pa.Table:
    """A table of the dataset; columns that are not given are null, or 0 where null is not allowed."""
    count = len(next(iter(columns.values())))
    fill = {c.name: [None if c.nullable else "" if c.type == pa.string() else 0] * count for c in dataset.columns}
    return pa.table(fill | columns, schema=dataset.schema)


@pytest.fixture
def features() -> Features:
    """Forty users and thirty items, as known before the first day of training; user 0 was shown item 0 before."""
    rng = np.random.default_rng(0)
    users, items = np.arange(NUM_USERS), np.arange(NUM_ITEMS)
    lists = [[int(i) for i in rng.choice(NUM_ITEMS, 3, replace=False)] for _ in users]
    history = {"item_ids": lists, "times": [[1, 2, 3]] * NUM_USERS, "watch_shares": [[1.0] * 3] * NUM_USERS}
    tables = {
        "users": _table(datasets.USERS, user_id=users, age=rng.integers(18, 80, NUM_USERS)),
        "items": _table(datasets.ITEMS, item_id=items, genres=[["drama"], ["crime", "drama"]] * (NUM_ITEMS // 2)),
        "histories": _table(datasets.HISTORIES, user_id=users, seen=lists, **history),
        "user_features": _table(
            datasets.USER_FEATURES,
            user_id=users,
            top_genres=[["drama"]] * NUM_USERS,
            top_genre_shares=[[1.0]] * NUM_USERS,
        ),
        "item_features": _table(datasets.ITEM_FEATURES, item_id=items, num_positives=np.arange(NUM_ITEMS)),
        "exposures": _table(datasets.EXPOSURES, user_id=[0], item_id=[0], num_shown=[5], num_watched=[2]),
        "embeddings": _table(
            datasets.EMBEDDINGS, item_id=items, vector=list(rng.normal(size=(NUM_ITEMS, 4)).astype(np.float32))
        ),
    }
    return Features.of(tables, HashedTower(), "2026-03-01")  # type: ignore[arg-type]


Log = tuple[list[pa.Table], list[pa.Table]]
Chance = Callable[[int], float]


def _log(chance: Chance, per_day: int = 400, seed: int = 0) -> Log:
    """Impressions and watches of every day; `chance` of a watch by how often the pair was shown and not watched."""
    rng = np.random.default_rng(seed)
    schemas = [
        pa.schema([dataset.schema.field(name) for name in names])
        for dataset, names in ((datasets.IMPRESSIONS, IMPRESSION_COLUMNS), (datasets.WATCHES, WATCH_COLUMNS))
    ]
    ignored: dict[tuple[int, int], int] = {}
    days: Log = ([], [])
    for day in range(DAYS):
        shown: list[tuple[float, ...]] = []
        watched: list[tuple[float, ...]] = []
        for number in range(per_day):
            user, item = int(rng.integers(NUM_USERS)), int(rng.integers(NUM_ITEMS))
            request = day * per_day + number
            shown.append((request, 1, user, item, 1.0))
            if rng.random() < chance(ignored.get((user, item), 0)):
                watched.append((request, user, item, 60.0, 1.0, True))
            else:
                ignored[user, item] = ignored.get((user, item), 0) + 1
        for tables, names, schema, rows in zip(
            days, (IMPRESSION_COLUMNS, WATCH_COLUMNS), schemas, (shown, watched), strict=True
        ):
            columns = list(zip(*rows, strict=True))
            tables.append(pa.table(dict(zip(names, columns, strict=True)), schema=schema))
    return days


def _assembled(log: Log, features: Features, config: RankerConfig) -> list[Examples]:
    impressions, watches = log
    return from_impressions(impressions, sum(map(len, impressions)), pa.concat_tables(watches), features, config)


def _with_everything_watched(watches: list[pa.Table], impressions: list[pa.Table], day: int) -> list[pa.Table]:
    shown = impressions[day]
    every = {name: shown[name] for name in ("request_id", "user_id", "item_id")}
    ones = {"watch_s": [9.0] * len(shown), "completion": [1.0] * len(shown), "positive": [True] * len(shown)}
    return [pa.table(every | ones, schema=watches[0].schema) if n == day else table for n, table in enumerate(watches)]


def test_features_are_those_of_serving(features: Features) -> None:
    """Row by row against the runtime itself, but for the exposures that the days add."""
    days = _assembled(_log(lambda ignored: 0.3), features, RankerConfig(roll_exposures=False))
    for day in days:
        rows = day.rows
        expected = features.pairs(features.user_rows(rows.user_id), rows.item_id, rows.position)
        assert np.array_equal(day.features, expected)


@pytest.mark.parametrize("changed", range(DAYS))
def test_nothing_of_a_day_or_after_it_reaches_its_features(features: Features, changed: int) -> None:
    impressions, watches = _log(lambda ignored: 0.3)
    before = _assembled((impressions, watches), features, RankerConfig())
    other = _with_everything_watched(watches, impressions, changed)
    after = _assembled((impressions, other), features, RankerConfig())
    for day in range(DAYS):
        same = np.array_equal(before[day].features, after[day].features)
        assert same if day <= changed else not same
    assert after[changed].rows.click.all() and not before[changed].rows.click.all()


def test_exposures_of_earlier_days_are_counted(features: Features) -> None:
    """Against a plain count; user 0 and item 0 start from what was known before."""
    impressions, watches = _log(lambda ignored: 0.3)
    days = _assembled((impressions, watches), features, RankerConfig())
    shown = {(0, 0): [5, 3]}
    for day in days:
        rows = day.rows
        pairs = list(zip(rows.user_id.tolist(), rows.item_id.tolist(), strict=True))
        expected = np.array([shown.get(pair, [0, 0]) for pair in pairs])
        assert np.expm1(day.features[:, [SHOWN, NOT_WATCHED]]) == pytest.approx(expected, abs=1e-4)
        for pair, click in zip(pairs, rows.click, strict=True):
            counts = shown.setdefault(pair, [0, 0])
            counts[0] += 1
            counts[1] += int(not click)
    assert days[-1].features[:, NOT_WATCHED].max() > np.log1p(2)


@pytest.mark.parametrize("roll", [True, False])
def test_what_was_shown_and_not_watched_sinks(features: Features, roll: bool) -> None:
    """Planted fatigue: a pair that was ignored once is watched with 0.1 instead of 0.7. Only the training days
    themselves show it, so without rolling the ranker cannot learn it."""
    log = _log(lambda ignored: 0.7 if ignored == 0 else 0.1, per_day=3000)
    days = _assembled(log, features, RankerConfig(roll_exposures=roll))
    training, validation = split_by_time(days, 1)
    model = train(training, validation, PAIR_FEATURES, RankerConfig(batch_size=256)).model
    fresh = training.features.copy()
    fresh[:, [SHOWN, NOT_WATCHED]] = 0
    tired = fresh.copy()
    tired[:, [SHOWN, NOT_WATCHED]] = np.log1p(3)
    ratio = predict(model, tired)[CLICK].mean() / predict(model, fresh)[CLICK].mean()
    assert ratio < 0.35 if roll else ratio > 0.8


def test_most_examples_are_bounded_by_whole_requests(features: Features) -> None:
    log = _log(lambda ignored: 0.3, per_day=3000)
    everything = Examples.concat(_assembled(log, features, RankerConfig()))
    sample = Examples.concat(_assembled(log, features, RankerConfig(max_examples=3000)))
    assert len(everything) == 4 * 3000 and len(sample) == pytest.approx(3000, rel=0.08)
    assert sample.rows.click.mean() == pytest.approx(everything.rows.click.mean(), abs=0.03)
    # Sampling must not thin out what the sampled rows know of earlier days.
    assert sample.features[:, SHOWN].mean() == pytest.approx(everything.features[:, SHOWN].mean(), rel=0.06)


def test_rows_about_strangers_are_dropped(features: Features) -> None:
    impressions, watches = _log(lambda ignored: 0.3, per_day=40)
    strange = pa.table(
        {"request_id": [90, 91, 92], "position": [1, 1, 1], "user_id": [99, 1, 1], "item_id": [1, 77, 2]}
        | {"propensity": [1.0] * 3},
        schema=impressions[0].schema,
    )
    days = _assembled(([strange], watches), features, RankerConfig())
    assert days[0].rows.item_id.tolist() == [2]


def test_features_that_are_no_numbers_are_refused(features: Features) -> None:
    rows = _assembled(_log(lambda ignored: 0.3), features, RankerConfig())[0].rows
    features.items.vectors[3] = np.nan
    with pytest.raises(Failure, match="features tower_score, history_similarity_max, history_similarity_mean have"):
        featurise(rows, features)


def test_the_score_of_the_towers_can_be_hidden_and_filled(features: Features) -> None:
    day = _assembled(_log(lambda ignored: 0.3), features, RankerConfig())[0]
    before = day.features.copy()
    hide_tower_score(day)
    assert np.isnan(day.features[:, TOWER_SCORE]).all()
    filled = day.filled(np.full(len(PAIR_FEATURES), 0.25)).features
    assert (filled[:, TOWER_SCORE] == 0.25).all()
    assert np.array_equal(np.delete(filled, TOWER_SCORE, axis=1), np.delete(before, TOWER_SCORE, axis=1))


def test_positives_stand_beside_items_that_the_user_has_not_watched(features: Features) -> None:
    _, watches = _log(lambda ignored: 0.3)
    days = from_positives(watches, features, RankerConfig(num_negatives=3))
    watched = {
        (u, i) for day in watches for u, i in zip(day["user_id"].to_pylist(), day["item_id"].to_pylist(), strict=True)
    }
    seen = {(int(u), int(i)) for u, i in zip(features.users.seen.rows(), features.users.seen.values, strict=True)}
    for day, table in zip(days, watches, strict=True):
        negative = day.rows.click == 0
        pairs = set(zip(day.rows.user_id[negative].tolist(), day.rows.item_id[negative].tolist(), strict=True))
        assert not pairs & (watched | seen)
        assert np.count_nonzero(~negative) == len(table)
        assert np.count_nonzero(negative) == pytest.approx(3 * len(table), rel=0.05)


def test_negatives_by_popularity_follow_it(features: Features) -> None:
    _, watches = _log(lambda ignored: 0.3)
    drawn = {}
    for negatives in ("uniform", "popularity"):
        days = Examples.concat(from_positives(watches, features, RankerConfig(negatives=negatives)))
        drawn[negatives] = days.rows.item_id[days.rows.click == 0].mean()
    assert drawn["popularity"] > drawn["uniform"] + 2, "popularity grows with the item id"


def test_positives_are_sampled_to_the_bound(features: Features) -> None:
    _, watches = _log(lambda ignored: 0.3, per_day=1000)
    num_positives = sum(map(len, watches))
    config = RankerConfig(max_examples=1000, num_negatives=3)
    first, again = (Examples.concat(from_positives(watches, features, config)) for _ in range(2))
    assert 4 * num_positives > 4000 and len(first) == pytest.approx(1000, rel=0.2)
    assert np.array_equal(first.features, again.features)


def test_the_last_days_are_held_out(features: Features) -> None:
    days = _assembled(_log(lambda ignored: 0.3, per_day=20), features, RankerConfig())
    empty = Examples(days[0].rows.take(np.arange(0)), days[0].features[:0])
    training, validation = split_by_time([*days, empty], validation_days=2)
    assert (len(training), len(validation)) == (40, 40), "days without rows do not count"
    assert np.array_equal(validation.features[20:], days[-1].features)
    training, validation = split_by_time(days, validation_days=4)
    assert (len(training), len(validation)) == (80, 0), "rather no figures than no training"
