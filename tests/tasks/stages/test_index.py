"""Stage `index`: shards and their recall, and refusal below the bar."""

import json
from dataclasses import replace

import faiss
import numpy as np
import pytest

from expectations.errors import Failure
from expectations.files import write_json
from models.config import FitConfig
from models.index.config import IndexConfig
from models.retrieval.config import EmbeddingsConfig, TowersConfig
from tasks.engine.lake import MANIFEST
from tasks.stages.embeddings import embeddings
from tasks.stages.index import index
from tasks.stages.towers import towers

DAY = "2026-03-04"
CONFIG = TowersConfig(dim=8, hidden=16, validation_days=1, fit=FitConfig(max_epochs=2))


@pytest.fixture
def inputs(run_stage, small_log):
    logged = {name: small_log[name] for name in ("watches", "known")}
    _, trained = run_stage(towers, DAY, **logged, config=CONFIG)
    shards = EmbeddingsConfig(items_per_shard=30)
    _, vectors = run_stage(embeddings, DAY, towers=trained["towers"], known=small_log["known"], config=shards)
    return {**trained, **vectors, "users": small_log["known"].users, "histories": small_log["histories"]}


def test_one_shard_of_the_index_a_shard_of_vectors(run_stage, inputs):
    out, made = run_stage(index, DAY, **inputs, config=IndexConfig(recall_k=10, min_recall=1.0))
    folder = made["index"].path
    assert {p.name for p in folder.iterdir()} - {MANIFEST} == {"index.json", "shard-00000.faiss", "shard-00001.faiss"}
    described = json.loads((folder / "index.json").read_text())
    assert made["index"].notes == described
    assert described["tower_digest"] == inputs["towers"].notes["tower_digest"]
    assert (described["type"], described["recall"], described["num_queries"]) == ("flat", 1.0, 42)
    table = inputs["embeddings"].table().to_pydict()
    for number, shard in enumerate(described["shards"]):
        read = faiss.read_index(str(folder / shard["file"]))
        expected = [item for item, s in zip(table["item_id"], table["shard"], strict=True) if s == number]
        assert isinstance(read, faiss.IndexIDMap)
        assert faiss.vector_to_array(read.id_map).tolist() == expected
    assert set(out.measures) == {"latency_ms"}


def test_below_its_bar_nothing_is_written(run_stage, inputs, tmp_path):
    """Sixty items in codes of one bit: too coarse for any bar."""
    config = IndexConfig(type="ivf_pq", pq_code_bytes=1, recall_k=10, min_recall=0.95)
    with pytest.raises(Failure, match=r"ivf_pq index finds 0\.\d+ .* nothing was published"):
        run_stage(index, DAY, **inputs, config=config)
    assert not list(tmp_path.glob("index-*/index/*"))


def test_same_inputs_same_bytes(run_stage, inputs):
    config = IndexConfig(type="hnsw", recall_k=10)
    one, other = (run_stage(index, DAY, **inputs, config=config)[1]["index"].path for _ in range(2))
    assert all(path.read_bytes() == (other / path.name).read_bytes() for path in one.iterdir())


def test_vectors_of_another_tower_are_refused(run_stage, inputs, tmp_path):
    vectors = inputs["embeddings"]
    write_json(vectors.path / MANIFEST, {"notes": {"tower_digest": "other"}})
    with pytest.raises(Failure, match="another tower"):
        run_stage(index, DAY, **inputs | {"embeddings": replace(vectors)}, config=IndexConfig())


def test_the_order_of_rows_in_the_table_does_not_matter(run_stage, inputs):
    import pyarrow.parquet as pq

    config = IndexConfig(type="ivf", num_lists=2, recall_k=10)
    before = run_stage(index, DAY, **inputs, config=config)[1]["index"].path
    (file,) = inputs["embeddings"].files
    table = pq.read_table(file)
    pq.write_table(table.take(np.random.default_rng(0).permutation(len(table))), file)
    after = run_stage(index, DAY, **inputs, config=config)[1]["index"].path
    assert all(path.read_bytes() == (after / path.name).read_bytes() for path in before.iterdir())
