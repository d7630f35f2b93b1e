"""Stage `index`: item vectors in FAISS, one shard of the index a shard of vectors."""

from typing import TYPE_CHECKING

from expectations.errors import Failure
from models.index.config import IndexConfig
from tasks.engine.lake import Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import stage

if TYPE_CHECKING:
    import pyarrow as pa

    from models.index.build import Shard


@stage(produces="index", libraries=("faiss-cpu", "onnxruntime"), memory_gib=1.0, threads=2)
def index(
    out: Outputs, embeddings: Artifact, towers: Artifact, users: Artifact, histories: Artifact, config: IndexConfig
) -> None:
    """An index of `embeddings` that finds `config.min_recall` of the exact answer to queries of real users."""
    from models.index.build import build_shards
    from models.index.files import write_index
    from models.index.recall import latencies_ms, tune
    from models.retrieval.artifact import tower_digest
    from models.retrieval.queries import query_vectors
    from models.runtime.user_tower import UserTower

    digest = tower_digest(towers.path)
    if embeddings.notes["tower_digest"] != digest:
        raise Failure("index: the embeddings were made by another tower than the queries; rebuild the embeddings")
    shards = _shards(embeddings.table())
    queries = query_vectors(
        UserTower(towers.path),
        users.table(),
        histories.table(["user_id", "item_ids", "searched"]),
        config.num_queries,
        config.seed,
    )
    chosen, indexes = build_shards(shards, config, out.resources.threads, out.part)
    out.progress(1, 2, f"{chosen} index built")
    rungs = tune(chosen, indexes, shards, queries, config)
    out.progress(2, 2, f"recall {rungs[-1].recall:.3f}")
    facts = {
        "tower_digest": digest,
        "recall_k": config.recall_k,
        "min_recall": config.min_recall,
        "num_queries": len(queries),
    }
    described = write_index(out["index"].path, chosen, indexes, rungs, facts)
    out.note(**described)
    out.measure(latency_ms=latencies_ms(indexes, queries, config.recall_k))


def _shards(embeddings: "pa.Table") -> list["Shard"]:
    """Ids and vectors of each shard, ascending by item_id."""
    import numpy as np
    import pyarrow.compute as pc

    ordered = embeddings.sort_by("item_id")
    ids = ordered["item_id"].to_numpy().astype(np.int64)
    vectors = pc.list_flatten(ordered["vector"]).to_numpy().reshape(len(ids), -1)
    shard = ordered["shard"].to_numpy()
    return [(ids[shard == s], np.ascontiguousarray(vectors[shard == s])) for s in np.unique(shard)]
