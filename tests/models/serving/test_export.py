"""A bundle's bytes follow from what goes in, and its manifest says what came in."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.made_bundle import TOWERS, make_bundle
from models import runtime
from models.runtime import Bundle
from models.runtime.files import TABLES
from models.serving import export


def digests(path):
    return {p.relative_to(path).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in path.rglob("*.*")}


def test_the_same_inputs_give_the_same_bytes_in_any_order_of_rows(path, tables, pipeline, tmp_path):
    rng = np.random.default_rng(1)
    shuffled = {
        name: table if name == "embeddings" else table.take(rng.permutation(len(table)))
        for name, table in tables.items()
    }
    again = digests(make_bundle(tmp_path, shuffled, pipeline))
    assert again == digests(path)
    assert len(again) > 20


def test_other_inputs_give_other_bytes(path, tables, pipeline, tmp_path):
    other = make_bundle(tmp_path, tables | {"popularity": tables["popularity"].slice(0, 50)}, pipeline)
    before, after = digests(path), digests(other)
    assert {name for name in before if before[name] != after[name]} == {"popularity.parquet", "manifest.json"}


def test_the_manifest_describes_every_file(path):
    manifest = json.loads((path / "manifest.json").read_text())
    for name, entry in manifest["files"].items():
        content = (path / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert manifest["tower_digest"] == manifest["index"]["tower_digest"] == TOWERS
    assert manifest["date"] == "2026-03-01"
    assert (manifest["metric"], manifest["dim"]) == ("inner_product", 16)


def test_tables_come_back_as_they_went_in(path, tables):
    for dataset, name in ((d, TABLES[d]) for d in tables):
        found = pq.read_table(path / name)
        assert found.num_rows == tables[dataset].num_rows
        assert found.schema.names == tables[dataset].schema.names


def test_the_runtime_is_copied_verbatim(path):
    ours = {p.name: p.read_bytes() for p in Path(runtime.__file__).parent.glob("*.py")}
    assert {p.name: p.read_bytes() for p in (path / "bundle").iterdir()} == ours


def test_no_manifest_no_bundle(path, tables, pipeline, tmp_path, monkeypatch):
    """The manifest is written last: an export that dies leaves a folder that nobody takes for a bundle."""
    monkeypatch.setattr(export, "write_manifest", lambda folder, facts: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        make_bundle(tmp_path, tables, pipeline)
    assert (tmp_path / "bundle" / "users.parquet").exists()
    with pytest.raises(ValueError, match=r"manifest\.json"):
        Bundle(tmp_path / "bundle")
