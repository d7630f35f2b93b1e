"""Stage `embeddings`: the declared table, by the tower that the notes name."""

import numpy as np

from expectations.datasets import EMBEDDINGS
from models.config import FitConfig
from models.retrieval.config import EmbeddingsConfig, TowersConfig
from tasks.stages.embeddings import embeddings
from tasks.stages.towers import towers

DAY = "2026-03-04"
CONFIG = TowersConfig(dim=8, hidden=16, validation_days=1, fit=FitConfig(max_epochs=1))


def test_every_item_has_a_unit_vector_and_a_shard(run_stage, small_log):
    inputs = {name: small_log[name] for name in ("watches", "known")}
    _, trained = run_stage(towers, DAY, **inputs, config=CONFIG)
    shards = EmbeddingsConfig(items_per_shard=25, batch_size=16)
    out, made = run_stage(embeddings, DAY, towers=trained["towers"], known=small_log["known"], config=shards)
    table = made["embeddings"].table()
    assert table.schema.equals(EMBEDDINGS.schema)
    assert table["item_id"].to_pylist() == list(range(60))
    known = small_log["known"].id_map.table().to_pylist()
    outside = {row["id"]: row["external_id"] for row in known if row["kind"] == "item"}
    assert table["external_item_id"].to_pylist() == [outside[item] for item in range(60)]
    assert np.bincount(table["shard"].to_numpy()).tolist() == [20, 20, 20]
    vectors = np.array(table["vector"].to_pylist())
    assert vectors.shape == (60, 8) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert out.notes == {"tower_digest": trained["towers"].notes["tower_digest"], "dim": 8}
