"""The index as files: one `shard-<n>.faiss` a shard, and `index.json` which says how to search them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss

from models.index.config import PARAMETER, IndexType
from models.index.recall import Measured


def write_index(
    folder: Path, chosen: IndexType, indexes: Sequence[faiss.Index], rungs: Sequence[Measured], facts: dict[str, Any]
) -> dict[str, Any]:
    """Write shards and `index.json`, and return what the latter says.

    Args:
        rungs: the ladder that was climbed; the last rung is what the indexes are set to.
        facts: what else `index.json` should say.
    """
    names = [f"shard-{number:05d}.faiss" for number in range(len(indexes))]
    for name, index in zip(names, indexes, strict=True):
        faiss.write_index(index, str(folder / name))
    parameter = rungs[-1].parameter
    shards = [{"file": name, "num_items": index.ntotal} for name, index in zip(names, indexes, strict=True)]
    ladder = [{"parameter": rung.parameter, "recall": round(rung.recall, 4)} for rung in rungs]
    described = {
        "type": chosen,
        "dim": indexes[0].d,
        "metric": "inner_product",
        "normalised": True,
        "num_items": sum(index.ntotal for index in indexes),
        "search": "" if parameter is None else f"{PARAMETER[chosen]}={parameter}",
        "recall": ladder[-1]["recall"],
        "ladder": ladder,
        "shards": shards,
        **facts,
    }
    (folder / "index.json").write_text(json.dumps(described, indent=2, sort_keys=True) + "\n")
    return described
