from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from expectations.datasets import IMPRESSIONS, WATCHES
from models.ranking.config import RankerConfig
from models.ranking.labels import (
    IMPRESSION_COLUMNS,
    WATCH_COLUMNS,
    WatchLog,
    known_seconds,
    label_impressions,
    sample_requests,
    substitutes,
)


def _table(names: list[str], schema: pa.Schema, rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [[] for _ in names]
    return pa.table(dict(zip(names, columns, strict=True)), schema=pa.schema([schema.field(n) for n in names]))


def _impressions(*rows: tuple[Any, ...]) -> pa.Table:
    """request, position, user, item, propensity"""
    return _table(IMPRESSION_COLUMNS, IMPRESSIONS.schema, list(rows))


def _watches(*rows: tuple[Any, ...]) -> pa.Table:
    """request, user, item, seconds, completion, positive"""
    return _table(WATCH_COLUMNS, WATCHES.schema, list(rows))


CONFIG = RankerConfig()


def test_join_is_by_request_and_item() -> None:
    """Random ids against a dictionary."""
    rng = np.random.default_rng(0)
    requests = rng.integers(-(2**62), 2**62, 12)  # any int64 may be an id; the last two have no impressions
    shown = [(requests[r], place, 1, i, 1.0) for place, (r, i) in enumerate(rng.integers([0, 0], [10, 9], (200, 2)))]
    played = [(requests[r], 1, i, 1.0 + i, 0.5, True) for r, i in rng.integers([2, 0], [12, 9], (30, 2))]
    expected: dict[tuple[int, int], float] = {}
    for r, _, i, s, _, _ in played:
        expected[r, i] = expected.get((r, i), 0.0) + s
    rows = label_impressions(_impressions(*shown), WatchLog(_watches(*played), CONFIG), CONFIG)
    assert rows.click.tolist() == [float((r, i) in expected) for r, _, _, i, _ in shown]
    assert rows.watch_s.tolist() == [expected.get((r, i), 0.0) for r, _, _, i, _ in shown]
    assert 0 < rows.click.sum() < len(rows)


def test_two_watches_of_one_impression_are_one() -> None:
    log = WatchLog(_watches((7, 1, 3, 60.0, 0.2, True), (7, 1, 3, 30.0, 0.9, True)), CONFIG)
    rows = label_impressions(_impressions((7, 1, 1, 3, 1.0)), log, CONFIG)
    assert (rows.click[0], rows.watch_s[0], rows.completed[0]) == (1, 90, 1)


def test_a_watch_from_no_impression_labels_none() -> None:
    log = WatchLog(_watches((None, 1, 3, 60.0, 0.2, True)), CONFIG)
    rows = label_impressions(_impressions((0, 1, 1, 3, 1.0)), log, CONFIG)
    assert rows.click.tolist() == [0] and np.isnan(rows.completed).all()


def test_completion_is_known_only_where_watched() -> None:
    log = WatchLog(_watches((1, 1, 3, 9.0, 0.8, True), (2, 1, 3, 9.0, 0.79, True), (3, 1, 3, 9.0, None, True)), CONFIG)
    rows = label_impressions(_impressions(*((r, 1, 1, 3, 1.0) for r in (1, 2, 3, 4))), log, CONFIG)
    assert rows.completed[:2].tolist() == [1, 0] and np.isnan(rows.completed[2:]).all()
    strict = label_impressions(_impressions((1, 1, 1, 3, 1.0)), log, RankerConfig(completion_threshold=0.9))
    assert strict.completed.tolist() == [0]


def test_forgotten_players_are_cut() -> None:
    log = WatchLog(_watches((1, 1, 3, 1e6, 1.0, True)), RankerConfig(max_watch_s=3600))
    assert label_impressions(_impressions((1, 1, 1, 3, 1.0)), log, CONFIG).watch_s.tolist() == [3600]


def test_unknown_seconds_are_the_mean_of_the_known() -> None:
    assert known_seconds(pa.chunked_array([[10.0, None, 50.0]], pa.float32()), 30).tolist() == [10, 20, 30]
    assert known_seconds(pa.chunked_array([[None, None]], pa.float32()), 30).tolist() == [1, 1]


def test_inverse_propensity_weights_are_bounded_and_optional() -> None:
    shown = _impressions((1, 1, 1, 3, 0.5), (1, 2, 1, 4, 0.001))
    log = WatchLog(_watches(), CONFIG)
    weighted = RankerConfig(inverse_propensity=True, min_propensity=0.1)
    assert label_impressions(shown, log, weighted).weight == pytest.approx([2, 10])
    assert label_impressions(shown, log, CONFIG).weight.tolist() == [1, 1]


def test_requests_are_sampled_whole_and_by_id_alone() -> None:
    ids = np.repeat(np.random.default_rng(0).integers(0, 2**60, 20_000), 5)
    kept = sample_requests(ids, 0.3, seed=1)
    assert kept.mean() == pytest.approx(0.3, abs=0.015)
    assert (kept.reshape(-1, 5).all(axis=1) | ~kept.reshape(-1, 5).any(axis=1)).all()
    assert np.array_equal(sample_requests(ids[::-1], 0.3, seed=1), kept[::-1])
    assert (sample_requests(ids, 0.3, seed=2) != kept).any()
    assert sample_requests(ids, 1.0, seed=1).all()


def test_consecutive_ids_are_sampled_evenly() -> None:
    kept = sample_requests(np.arange(100_000), 0.5, seed=0)
    assert kept.reshape(100, -1).mean(axis=1) == pytest.approx(0.5, abs=0.07)


def test_every_substitute_is_named() -> None:
    full = _watches((1, 1, 3, 9.0, 0.8, True))
    bare = _watches((1, 1, 3, None, None, True))
    assert substitutes(full, has_impressions=True, config=CONFIG) == []
    found = substitutes(bare, has_impressions=False, config=RankerConfig(num_negatives=6))
    named = " ".join(s.sentence for s in found)
    assert all(word in named for word in ("no impressions", "6 items", "uniformly", "no watch time", "no completion"))
    assert "by popularity" in substitutes(full, False, RankerConfig(negatives="popularity"))[0].sentence
    mixed = pa.concat_tables([full, bare])
    (mean,) = substitutes(mixed, True, CONFIG)
    assert mean.sentence == "1 of 2 watches have no watch time: they count as the mean."
