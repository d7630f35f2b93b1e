"""New items between nights: a bundle with the items of another, plus a few embedded by its own item tower.

The base's FAISS files stay as they are, byte for byte, so that whoever pulls both fetches them once. New vectors go
into one delta shard with explicit ids; an item that is removed leaves the tables and the id map, and what an index
still knows of it is never found (`ItemIndex.search`).

The layout and the runtime of the base stay too, whatever their age: what was judged goes on serving. So nothing is
asked of a bundle here but what `Bundle` declares, and nothing is written but the few files that change.
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

from expectations.errors import Failure, UserError
from models.index.recall import exact, recall_at_k
from models.runtime.files import FORMAT
from models.runtime.index import Shard
from models.runtime.manifest import read_json
from models.serving.bundle_runtime import open_bundle
from models.serving.export import facts_of, write_json, write_manifest, write_readme, write_table

DELTA = "index/delta-00001.faiss"
"""The one delta shard; additions to additions go into it too."""

FORMATS = range(1, FORMAT + 1)
"""Layouts that can be added to: in all of them `NEEDED` and the shards of `index/` lie where they lie today."""

CHANGED = ("items.parquet", "id_map.parquet", "embeddings.parquet", "index/index.json")
"""What an addition writes anew, beside the delta shard, README and manifest."""

NEEDED = (*CHANGED, "item_tower.onnx", "encoders.json")

EXTERNAL = "external_id"
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
        UserError: an item is there already, or is not there to be removed, or nothing would change; the base is of a
            layout that is not known here, or too old for a column of the new items.
        Failure: the index no longer finds enough (`index.min_recall` of the base); what was removed is still found.
    """
    _check_layout(base)
    bundle = open_bundle(base)
    _check_ids(bundle, new[EXTERNAL].to_pylist(), removed)
    items = _numbered(bundle, new)
    shutil.copytree(base, folder, ignore=shutil.ignore_patterns("recommendations", "__pycache__", ".*"))
    gone = bundle.ids("item", list(removed)).tolist() if removed else []
    tables = _tables(bundle, items, new[EXTERNAL], gone)
    for name, table in tables.items():
        write_table(table, name, folder / f"{name}.parquet")
    _write_delta(bundle, folder, items["item_id"].to_numpy(), gone)
    write_readme(folder, tables, bundle.manifest | {"base": facts})
    delta = {"added": new[EXTERNAL].to_pylist(), "removed": list(removed)}
    return _measured(bundle, folder, tables["embeddings"], delta, facts, gone)


def _check_layout(base: Path) -> None:
    """Refuse what is laid out in a way that this code does not know; its own runtime may still serve it."""
    manifest = read_json(base / "manifest.json")
    told, missing = manifest.get("format", 0), [name for name in NEEDED if name not in manifest["files"]]
    if told > FORMAT:
        raise UserError(f"the release is of format {told}, later than what is installed here ({FORMAT}); update it")
    if told not in FORMATS or missing:
        why = f"lacks {missing[0]}" if missing else f"is of format {told}, and the earliest known is {FORMATS[0]}"
        raise UserError(f"the release {why}: nothing can be added to it; run a night, and add to its release")


def _check_ids(bundle: Any, added: list[str], removed: Sequence[str]) -> None:
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


def _numbered(bundle: Any, new: pa.Table) -> pa.Table:
    """New rows of `items`, with the dense ids that follow the highest that anything in the bundle has."""
    shards = [Shard(path) for path in _shards(bundle)]
    highest = max(int(bundle.item_ids.max()), *(int(shard.ids.max(initial=-1)) for shard in shards))
    schema, columns = pq.read_schema(bundle.path / "items.parquet"), []
    if later := set(new.column_names) - {EXTERNAL, *schema.names}:
        raise UserError(
            f"column {min(later)!r} came after the release was made, which has {', '.join(schema.names)}; "
            "leave it out, or run a night and add to its release"
        )
    for field in schema:
        if field.name == "item_id":
            column = pa.array(np.arange(highest + 1, highest + 1 + len(new)), pa.int32())
        elif field.name in new.column_names:
            column = new[field.name].cast(field.type)
        else:
            column = pa.nulls(len(new), field.type)
        columns.append(column)
    return pa.table(columns, schema=schema)


def _shards(bundle: Any) -> list[Path]:
    return [bundle.path / name for name in sorted(bundle.manifest["files"]) if name.endswith(".faiss")]


def _tables(bundle: Any, items: pa.Table, external: pa.ChunkedArray, gone: list[int]) -> dict[str, pa.Table]:
    """The tables that change, in the columns that the base has: items, id_map, embeddings."""
    out = pa.array(gone, pa.int32())
    old = {name: pq.read_table(bundle.path / f"{name}.parquet") for name in ("items", "id_map", "embeddings")}
    is_item = pc.equal(old["id_map"]["kind"], "item")
    kept = {
        "items": old["items"].filter(pc.invert(pc.is_in(old["items"]["item_id"], out))),
        "id_map": old["id_map"].filter(pc.invert(pc.and_(is_item, pc.is_in(old["id_map"]["id"], out)))),
        "embeddings": old["embeddings"].filter(pc.invert(pc.is_in(old["embeddings"]["item_id"], out))),
    }
    lists = pa.FixedSizeListArray.from_arrays(bundle.embed(items).ravel(), bundle.item_vectors.shape[1])
    shard = pa.array(np.full(len(items), len(_shards(bundle))), pa.int16())
    ids = items["item_id"]
    fresh = {
        "items": items,
        "id_map": pa.table({"kind": ["item"] * len(items), "id": ids, EXTERNAL: external}),
        "embeddings": pa.table({"item_id": ids, "shard": shard, "vector": lists, "external_item_id": external}),
    }
    return {
        name: pa.concat_tables([kept[name], fresh[name].select(kept[name].column_names).cast(kept[name].schema)])
        for name in kept
    }


def _write_delta(bundle: Any, folder: Path, ids: np.ndarray, gone: list[int]) -> None:
    """The delta shard with the new vectors, which are read back from the table that was just written."""
    path = folder / DELTA
    dim = bundle.item_vectors.shape[1]
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
    bundle: Any, folder: Path, embeddings: pa.Table, delta: dict[str, list[str]], facts: dict[str, Any], gone: list[int]
) -> Increment:
    """Describe the new index, load the whole to measure its recall, and refuse it below the base's bar."""
    described = read_json(folder / "index" / "index.json")
    path = folder / DELTA
    added, removed = len(delta["added"]), len(delta["removed"])
    shards = [{"file": path.name, "num_items": faiss.read_index(str(path)).ntotal}] if path.exists() else []
    described |= {"delta": shards, "num_items": len(embeddings), "removed": described.get("removed", 0) + removed}
    # How the base was judged stays with the base; its format is what its runtime reads.
    known = {name: value for name, value in facts_of(bundle.manifest).items() if name != "evaluation"}
    known["lineage"] = {n: v for n, v in known.get("lineage", {}).items() if n != "recommendations"}
    versions = known["versions"] | {"faiss": faiss.__version__}
    known |= {"format": bundle.manifest["format"], "base": facts, "delta": delta, "index": described}
    known |= {"versions": versions}
    write_json(folder / "index" / "index.json", described)
    write_manifest(folder, known)
    grown = open_bundle(folder)
    k = min(int(described.get("recall_k", 100)), len(embeddings))
    queries = _queries(grown, int(described.get("num_queries", 1000)))
    ids = embeddings["item_id"].to_numpy().astype(np.int64)
    vectors = pc.list_flatten(embeddings["vector"].combine_chunks()).to_numpy().reshape(len(ids), -1)
    found, _ = grown.search(queries, k)
    recall = recall_at_k(found, exact([(ids, np.ascontiguousarray(vectors))], queries, k))
    if recall < float(described.get("min_recall", 0)):
        raise Failure(
            f"index: with {added} items more, base and delta find {recall:.3f} of the exact {k} nearest, "
            f"index.min_recall asks for {described['min_recall']}; nothing was released. A night builds the index anew"
        )
    some = grown.recommend(grown.user_ids[:CHECKED_USERS].tolist()).table
    if not np.isfinite(some["score"].to_numpy()).all():
        raise Failure("index: with the new items, lists have scores that are no numbers; nothing was released")
    if np.isin(found, gone).any() or np.isin(some["item_id"].to_numpy(), gone).any():
        raise Failure("index: the release's own runtime finds removed items; nothing was released. Run a night")
    described["recall"] = round(recall, 4)
    write_json(folder / "index" / "index.json", described)
    manifest = write_manifest(folder, known | {"index": described, "recall": described["recall"]})
    return Increment(added, removed, len(embeddings), recall, k, manifest)


def _queries(bundle: Any, num: int) -> np.ndarray:
    """Vectors of `num` users, spread evenly over their ids."""
    ids = bundle.user_ids
    rows = np.unique(np.linspace(0, len(ids) - 1, min(num, len(ids))).astype(np.int64))
    return np.ascontiguousarray(bundle.user_vectors(ids[rows]))
