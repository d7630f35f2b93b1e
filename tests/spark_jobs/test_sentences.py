"""Sentences against a slow reading of the same log."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from expectations.datasets import ACTIONS, SEARCHES, SENTENCES, WATCHES, Dataset
from spark_jobs.config import SentencesConfig
from spark_jobs.frames import typed
from spark_jobs.sentences import sentences
from tests.spark_jobs.each_row import each_row

AS_OF = "2026-03-10"
END = datetime(2026, 3, 11, tzinfo=UTC)
CONFIG = SentencesConfig(length=12)


@pytest.fixture(scope="module")
def log() -> dict[str, pd.DataFrame]:
    """Half of everything happens in few moments, so that ties must be settled; a tenth after the last day."""
    rng = np.random.default_rng(3)

    def times(num: int) -> list[datetime]:
        seconds = np.where(rng.random(num) < 0.5, rng.integers(0, 4, num) * 600, rng.integers(0, 86_400, num))
        return [END - timedelta(days=int(d)) + timedelta(seconds=int(s)) for d, s in
                zip(rng.integers(0, 10, num), seconds, strict=True)]  # fmt: skip

    watches = pd.DataFrame({
        "watch_id": np.arange(300), "user_id": rng.integers(0, 8, 300), "item_id": rng.integers(0, 20, 300),
        "time": times(300), "completion": np.where(rng.random(300) < 0.3, np.nan, rng.random(300)),
        "weight": 1.0, "positive": rng.random(300) < 0.6,
        "device_type": rng.choice(np.array(["tv", "web", None]), 300),
    })  # fmt: skip
    actions = pd.DataFrame({
        "action_id": np.arange(200), "user_id": rng.integers(0, 9, 200), "item_id": rng.integers(0, 20, 200),
        "time": times(200), "action": rng.choice(["browse", "rate", "like", "pause"], 200),
    })  # fmt: skip
    searches = pd.DataFrame({
        "search_id": np.arange(60), "user_id": rng.integers(0, 9, 60), "time": times(60),
        "query": "dark film", "tokens": [["dark", "film"]] * 60, "clicked_item_id": 3,
    })  # fmt: skip
    return {"watches": watches, "actions": actions, "searches": searches}


def slow(log: dict[str, pd.DataFrame], config: SentencesConfig) -> dict[int, list[tuple]]:
    tokens: dict[int, list[tuple]] = {}
    for w in each_row(log["watches"]):
        share = -1.0 if np.isnan(w.completion) else w.completion
        device = w.device_type or ""
        tokens.setdefault(w.user_id, []).append(
            ((w.time, 1, w.watch_id), "play", w.item_id, w.positive, share, device, "")
        )
    for a in each_row(log["actions"]):
        if a.action in config.actions:
            tokens.setdefault(a.user_id, []).append(
                ((a.time, 2, a.action_id), a.action, a.item_id, False, -1.0, "", "")
            )
    for s in each_row(log["searches"]) if "search" in config.actions else ():
        tokens.setdefault(s.user_id, []).append(((s.time, 0, s.search_id), "search", -1, False, -1.0, "", "dark film"))
    kept = {u: sorted(t for t in told if t[0][0] < END)[-config.length :] for u, told in tokens.items()}
    return {u: told for u, told in kept.items() if told}


def as_frame(spark: SparkSession, rows: pd.DataFrame, dataset: Dataset):
    arrays = [
        pa.array(rows[f.name], from_pandas=True).cast(f.type) if f.name in rows else pa.nulls(len(rows), f.type)
        for f in dataset.schema
    ]
    return spark.createDataFrame(pa.table(arrays, names=dataset.schema.names))


@pytest.mark.parametrize("config", [CONFIG, SentencesConfig(length=100, actions=("browse",))], ids=["short", "browse"])
def test_tokens_of_all_kinds_in_order(spark, log, config):
    watches, actions, searches = (as_frame(spark, log[d.name], d) for d in (WATCHES, ACTIONS, SEARCHES))
    made = {row.user_id: row for row in sentences(watches, actions, searches, AS_OF, config).collect()}
    expected = slow(log, config)
    assert set(made) == set(expected)
    for user, told in expected.items():
        row = made[user]
        got = list(zip(row.actions, row.item_ids, row.positives, row.device_types, row.queries, strict=True))
        assert got == [(action, item, positive, device, query) for _, action, item, positive, _, device, query in told]
        assert row.watch_shares == pytest.approx([t[4] for t in told])
        assert row.times == [int(t[0][0].timestamp()) for t in told]


def test_a_log_of_watches_alone_gives_plays_alone(spark, log):
    actions, searches = (as_frame(spark, log[d.name].head(0), d) for d in (ACTIONS, SEARCHES))
    made = sentences(as_frame(spark, log["watches"], WATCHES), actions, searches, AS_OF, CONFIG)
    assert {action for row in made.collect() for action in row.actions} == {"play"}
    assert typed(made, SENTENCES).schema == made.schema
