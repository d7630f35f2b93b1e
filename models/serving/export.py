"""Assemble a bundle: one folder from which everything can be served, described by its own manifest.

The bytes follow from the inputs alone: tables are sorted by key and written with fixed settings, nothing has a time.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations.datasets import DATASETS
from models import runtime
from models.runtime.files import FORMAT, TABLES
from models.runtime.manifest import manifest_digest, sha256
from models.runtime.user_tower import UserTower
from models.serving.sources import ReleaseSource

RUNTIME = Path(runtime.__file__).parent
"""The code that serves, copied into every bundle as it is."""

README = """\
# Nightjar release, of what was known at the end of {date}

Everything that recommends, in one folder: index, towers, ranker, tables, settings, and the code that runs them
(`bundle/`). It needs `faiss-cpu`, `onnxruntime`, `pyarrow` and `numpy`, and nothing else.

```python
import sys
sys.path.insert(0, "path/of/this/folder")
from bundle import Bundle

release = Bundle("path/of/this/folder")              # refuses a folder that is damaged or does not fit together
user = release.ids("user", ["{user}"])               # outside ids to dense ids
print(release.recommend(user, k=10).table)           # item_id, score, source, reason
print(release.recommend_for_history([{item}], k=10).table)   # somebody who is not known
release.watch(user[0], [{item}])                     # watched since the night; counts from now on
print(release.similar({item}, k=5))                  # nearest items
items, scores = release.retrieve("towers", user, k=100)      # one source alone: towers, als, item_item, ...
```

`manifest.json` has the sha256 of every file, library versions, metric ({metric}), dimensions ({dim}), data days,
measured recall of the index and the artifacts all this was made from.{base} `pipeline.json` has the settings; hand
`Bundle(path, pipeline=...)` others to try them.
"""


def assemble(
    folder: Path,
    tables: Mapping[str, pa.Table],
    files: Mapping[str, Path],
    pipeline: Mapping[str, Any],
    facts: Mapping[str, Any],
    sources: Sequence[ReleaseSource],
) -> dict[str, Any]:
    """Write a bundle and return its manifest.

    Args:
        tables: by dataset, those of `runtime.files.TABLES` that every release has, and those that `sources` declare.
        files: name in the bundle -> file to copy (towers, ranker, index, the graphs of sources).
        pipeline: settings from retrieval to order, as JSON types.
        facts: what the manifest says beyond files: `date`, `tower_digest`, `versions` (with `faiss`), `index`, ...
        sources: in the order in which equal ones are asked.
    """
    for dataset, table in tables.items():
        write_table(table, dataset, folder / TABLES[dataset])
    for name, source in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / name)
    for declared in sources:
        for dataset, table in declared.tables.items():
            write_table(table, dataset, folder / declared.place(dataset))
    write_json(folder / "sources.json", [declared.declaration() for declared in sources])
    shutil.copytree(RUNTIME, folder / "bundle", ignore=shutil.ignore_patterns("__pycache__"))
    write_json(folder / "pipeline.json", pipeline)
    write_readme(folder, tables, facts)
    _write_user_embeddings(folder, tables)
    return write_manifest(folder, facts)


def write_table(table: pa.Table, dataset: str, path: Path) -> None:
    """One Parquet file, rows in the order of the dataset's key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_parquet(table.sort_by([(column, "ascending") for column in DATASETS[dataset].key]).combine_chunks(), path)


def _write_user_embeddings(folder: Path, tables: Mapping[str, pa.Table]) -> None:
    """What the bundle's own tower says of every user, so that nobody who serves has to ask it again."""
    num_items = pc.max(tables["items"]["item_id"]).as_py() + 1
    embeddings = UserTower(folder).embeddings(tables["users"], tables["histories"], num_items)
    _write_parquet(embeddings, folder / "user_embeddings.parquet")


def _write_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd", row_group_size=1_000_000)


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Describe every file of a folder in `manifest.json`, last, so that half a bundle has none."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json")
    files = {p.relative_to(folder).as_posix(): {"sha256": sha256(p), "bytes": p.stat().st_size} for p in paths}
    manifest = {"format": FORMAT, **facts, "files": files}
    manifest["digest"] = manifest_digest(manifest)
    write_json(folder / "manifest.json", manifest)
    return manifest


def facts_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest says beyond its files: what `write_manifest` is given."""
    return {name: value for name, value in manifest.items() if name not in ("format", "files", "digest")}


def write_readme(folder: Path, tables: Mapping[str, pa.Table], facts: Mapping[str, Any]) -> None:
    """How to load the bundle, with ids that it has.

    Args:
        tables: `id_map` and `items`.
    """
    ids = tables["id_map"]
    users = [e for k, e in zip(ids["kind"].to_pylist(), ids["external_id"].to_pylist(), strict=True) if k == "user"]
    item = min(tables["items"]["item_id"].to_pylist(), default=0)
    base = f" It is version {facts['base']['version']} with other items." if "base" in facts else ""
    places = {"user": min(users, default="u1"), "item": item, "base": base}
    text = README.format(date=facts["date"], metric=facts["metric"], dim=facts["dim"], **places)
    (folder / "README.md").write_text(text)


def write_json(path: Path, value: Any) -> None:
    """A JSON file whose bytes follow from what it says."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
