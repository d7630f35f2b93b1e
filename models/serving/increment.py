"""New items between nights: a bundle with the items of another, plus a few embedded by its own item tower.

The base's FAISS files stay as they are, byte for byte, so that whoever pulls both fetches them once. New vectors go
into one delta shard with explicit ids; an item that is removed leaves the tables and the id map, and what an index
still knows of it is never found (`ItemIndex.search`).
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations.datasets import DATASETS
from expectations.errors import Failure, UserError
from models.index.recall import exact, recall_at_k
from models.onnx_runtime import onnxruntime
from models.runtime import Bundle
from models.runtime.encoding import encode
from models.runtime.manifest import read_json
from models.runtime.users import Users
from models.serving.export import facts_of, write_json, write_manifest, write_readme, write_runtime, write_table

DELTA = "index/delta-00001.faiss"
"""The one delta shard; additions to additions go into it too."""

EXTERNAL = "external_id"
BATCH = 4096
CHECKED_USERS = 100
"""Users whose lists are looked at before anything is released."""


@dataclass(frozen=True)
class Increment:
    """What was done to a base.

    Attributes:
        recall: of all shards together against exact search, at the shipped search parameters.
    """

    added: int
    removed: int
    num_items: int
    recall: float
    recall_k: int
    manifest: dict[str, Any]


def extend(base: Path, folder: Path, new: pa.Table, removed: Sequence[str], facts: dict[str, Any]) -> Increment:
    """Write a bundle with the items of `base`, without the removed ones, with the new ones.

    Args:
        new: outside ids in `external_id`, and columns of the dataset `items`; may be empty.
        removed: outside ids.
        facts: what the manifest says of the base.

    Raises:
        UserError: an item is there already, or is not there to be removed, or nothing would change.
        Failure: the index no longer finds enough (`index.min_recall` of the base).
    """
    bundle = Bundle(base)
    _check_ids(bundle, new[EXTERNAL].to_pylist(), removed)
    shutil.copytree(base, folder, ignore=shutil.ignore_patterns("recommendations", "__pycache__", ".*"))
    gone = bundle.ids("item", list(removed)).tolist() if removed else []
    items = _numbered(bundle, new)
    tables = _tables(bundle, base, items, new[EXTERNAL], gone)
    for name, table in tables.items():
        write_table(table, name, folder / f"{name}.parquet")
    _write_delta(bundle, folder, items["item_id"].to_numpy(), gone)
    write_readme(folder, tables, bundle.manifest | {"base": facts})
    write_runtime(folder)
    delta = {"added": new[EXTERNAL].to_pylist(), "removed": list(removed)}
    return _measured(bundle, folder, tables["embeddings"], delta, facts)


def _check_ids(bundle: Bundle, added: list[str], removed: Sequence[str]) -> None:
    ids = bundle.id_map.filter(pc.equal(bundle.id_map["kind"], "item"))
    known = set(ids["external_id"].to_pylist())
    if not added and not removed:
        raise UserError("nothing to add and nothing to remove")
    twice = sorted({i for i in added if added.count(i) > 1}) if len(set(added)) < len(added) else []
    if twice:
        raise UserError(f"item {twice[0]!r} is in the file more than once")
    there, missing = sorted(set(added) & known), sorted(set(removed) - known)
    if there:
        raise UserError(f"{len(there)} of the new items are in the release already, such as {there[0]!r}")
    if missing:
        raise UserError(f"{len(missing)} of the items to remove are not in the release, such as {missing[0]!r}")


def _numbered(bundle: Bundle, new: pa.Table) -> pa.Table:
    """New rows of `items`, with the dense ids that follow the highest that anything in the bundle has."""
    highest = max(bundle.features.items.size - 1, *(int(s.ids.max(initial=-1)) for s in bundle.index.shards))
    schema, columns = DATASETS["items"].schema, []
    for field in schema:
        if field.name == "item_id":
            column = pa.array(np.arange(highest + 1, highest + 1 + len(new)), pa.int32())
        elif field.name in new.column_names:
            column = new[field.name].cast(field.type)
        else:
            column = pa.nulls(len(new), field.type)
        columns.append(column)
    return pa.table(columns, schema=schema)


def _tables(
    bundle: Bundle, base: Path, items: pa.Table, external: pa.ChunkedArray, gone: list[int]
) -> dict[str, pa.Table]:
    """The tables that change: items, id_map, embeddings."""
    out = pa.array(gone, pa.int32())
    old = {name: pq.read_table(base / f"{name}.parquet") for name in ("items", "id_map", "embeddings")}
    is_item = pc.equal(old["id_map"]["kind"], "item")
    kept = {
        "items": old["items"].filter(pc.invert(pc.is_in(old["items"]["item_id"], out))),
        "id_map": old["id_map"].filter(pc.invert(pc.and_(is_item, pc.is_in(old["id_map"]["id"], out)))),
        "embeddings": old["embeddings"].filter(pc.invert(pc.is_in(old["embeddings"]["item_id"], out))),
    }
    vectors = _embedded(base, items)
    lists = pa.FixedSizeListArray.from_arrays(vectors.ravel(), bundle.features.items.vectors.shape[1])
    shard = pa.array(np.full(len(items), len(bundle.index.shards)), pa.int16())
    fresh = {
        "items": items,
        "id_map": pa.table({"kind": ["item"] * len(items), "id": items["item_id"], "external_id": external}),
        "embeddings": pa.table({"item_id": items["item_id"], "shard": shard, "vector": lists}),
    }
    return {
        name: pa.concat_tables([kept[name].cast(DATASETS[name].schema), fresh[name].cast(DATASETS[name].schema)])
        for name in kept
    }


def _embedded(base: Path, items: pa.Table) -> np.ndarray:
    """float32 `[N, d]`: vectors of items by the bundle's item tower."""
    fields = read_json(base / "encoders.json")["item"]
    tower = onnxruntime.InferenceSession(str(base / "item_tower.onnx"), providers=["CPUExecutionProvider"])
    names = {i.name for i in tower.get_inputs()}
    parts = []
    for start in range(0, max(len(items), 1), BATCH):
        inputs = encode(items.slice(start, BATCH), fields)
        parts.append(tower.run(["item_vector"], {n: v for n, v in inputs.items() if n in names})[0])
    return np.concatenate(parts)


def _write_delta(bundle: Bundle, folder: Path, ids: np.ndarray, gone: list[int]) -> None:
    """The delta shard with the new vectors, which are read back from the table that was just written."""
    path = folder / DELTA
    dim = bundle.features.items.vectors.shape[1]
    delta = faiss.read_index(str(path)) if path.exists() else faiss.IndexIDMap2(faiss.IndexFlatIP(dim))
    if gone and delta.ntotal:
        delta.remove_ids(faiss.IDSelectorBatch(np.asarray(gone, dtype=np.int64)))
    if len(ids):
        table = pq.read_table(folder / "embeddings.parquet")
        rows = table.filter(pc.is_in(table["item_id"], pa.array(ids))).sort_by("item_id")
        vectors = pc.list_flatten(rows["vector"].combine_chunks()).to_numpy().reshape(len(rows), dim)
        delta.add_with_ids(np.ascontiguousarray(vectors), rows["item_id"].to_numpy().astype(np.int64))
    if delta.ntotal:
        faiss.write_index(delta, str(path))
    else:
        path.unlink(missing_ok=True)


def _measured(
    bundle: Bundle, folder: Path, embeddings: pa.Table, delta: dict[str, list[str]], facts: dict[str, Any]
) -> Increment:
    """Describe the new index, load the whole to measure its recall, and refuse it below the base's bar."""
    described = read_json(folder / "index" / "index.json")
    path = folder / DELTA
    added, removed = len(delta["added"]), len(delta["removed"])
    shards = [{"file": path.name, "num_items": faiss.read_index(str(path)).ntotal}] if path.exists() else []
    described |= {"delta": shards, "num_items": len(embeddings), "removed": described.get("removed", 0) + removed}
    # How the base was judged stays with the base.
    known = {name: value for name, value in facts_of(bundle.manifest).items() if name != "evaluation"}
    known["lineage"] = {n: v for n, v in known.get("lineage", {}).items() if n != "recommendations"}
    versions = known["versions"] | {"faiss": faiss.__version__}
    known |= {"base": facts, "delta": delta, "index": described, "versions": versions}
    write_json(folder / "index" / "index.json", described)
    write_manifest(folder, known)
    grown = Bundle(folder)
    k = min(int(described.get("recall_k", 100)), len(embeddings))
    queries = _queries(grown.features.users, int(described.get("num_queries", 1000)))
    ids = embeddings["item_id"].to_numpy().astype(np.int64)
    vectors = pc.list_flatten(embeddings["vector"].combine_chunks()).to_numpy().reshape(len(ids), -1)
    found, _ = grown.index.search(queries, k)
    recall = recall_at_k(found, exact([(ids, np.ascontiguousarray(vectors))], queries, k))
    if recall < float(described.get("min_recall", 0)):
        raise Failure(
            f"index: with {added} items more, base and delta find {recall:.3f} of the exact {k} nearest, "
            f"index.min_recall asks for {described['min_recall']}; nothing was released. A night builds the index anew"
        )
    some = grown.recommend(grown.features.users.ids[:CHECKED_USERS].tolist()).table
    if not np.isfinite(some["score"].to_numpy()).all():
        raise Failure("index: with the new items, lists have scores that are no numbers; nothing was released")
    described["recall"] = round(recall, 4)
    write_json(folder / "index" / "index.json", described)
    manifest = write_manifest(folder, known | {"index": described, "recall": described["recall"]})
    return Increment(added, removed, len(embeddings), recall, k, manifest)


def _queries(users: Users, num: int) -> np.ndarray:
    """Vectors of `num` users, spread evenly over their ids."""
    rows = np.unique(np.linspace(0, len(users.ids) - 1, min(num, len(users.ids))).astype(np.int64))
    return np.ascontiguousarray(users.vectors(rows)[:, 0])
