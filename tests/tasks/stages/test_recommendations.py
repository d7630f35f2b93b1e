"""The stages from artifacts to a bundle and its recommendations."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from benchmarks.made_bundle import DATE, TOWERS, make_tables, write_models
from expectations.errors import Failure
from models.content import content_similarity as similarity_of
from models.content_config import ContentConfig
from models.runtime import Bundle
from models.serving.config import PipelineConfig, SourceConfig, SourcesConfig
from models.serving.list_lengths import ListLengths
from tasks.engine.lake import MANIFEST, Artifact, Ref
from tasks.engine.outputs import Outputs
from tasks.machine.config import ResourcesConfig
from tasks.registry.release_layout import FOLDER
from tasks.releases.pulling import try_release
from tasks.stages.groups import Facts, Known, Retrieval, Sources
from tasks.stages.recommendations import bundle, content_similarity, recommendations

CONFIG = PipelineConfig(k=5, pool_size=50, sources=SourcesConfig(popularity=SourceConfig(num_candidates=40)))


def outputs(folder: Path, *datasets: str) -> Outputs:
    return Outputs(DATE, folder, datasets, ResourcesConfig(), folder / "home")


def published(out: Outputs, dataset: str, **notes) -> Artifact:
    """What a stage wrote, as the lake would hand it on."""
    path = out[dataset].path
    (path / MANIFEST).write_text(json.dumps({"notes": out.notes | notes}))
    return Artifact(Ref(dataset, DATE, f"key-of-{dataset}"), path)


@pytest.fixture
def inputs(tmp_path):
    """Every artifact that the stage `bundle` reads."""
    tables = make_tables(30, 80)
    found = {}
    for name, rows in tables.items():
        out = outputs(tmp_path, name)
        out[name].write(rows)
        found[name] = published(out, name)
    out = outputs(tmp_path, "towers", "index", "ranker")
    files = write_models(tmp_path, tables)
    for name, source in files.items():
        owner = "index" if name.startswith("index/") else "ranker" if name.startswith("ranker") else "towers"
        (out[owner].path / source.name).write_bytes(source.read_bytes())
    described = {"tower_digest": TOWERS, "metric": "inner_product", "normalised": True, "dim": 16, "recall": 1.0}
    (out["index"].path / "index.json").write_text(json.dumps(described))
    shards = [{"file": source.name} for source in files.values() if source.suffix == ".faiss"]
    notes: dict[str, dict[str, Any]] = {"towers": {"tower_digest": TOWERS}, "index": {"shards": shards}, "ranker": {}}
    return found | {name: published(out, name, **notes[name]) for name in notes}


def bundled(tmp_path, inputs, name="made"):
    out = outputs(tmp_path / name, "bundle")
    groups = {"retrieval": Retrieval, "known": Known, "facts": Facts}
    given = {name: kind(**{f.name: inputs[f.name] for f in fields(kind)}) for name, kind in groups.items()}
    names = ("als_user_factors", "als_item_factors", "item_similarity", "content_similarity", "popularity")
    sources = Sources(tuple(inputs[name] for name in names))
    bundle.function(out, **given, sources=sources, ranker=inputs["ranker"], config=CONFIG)
    return published(out, "bundle")


def test_the_bundle_holds_every_input_and_says_where_it_came_from(tmp_path, inputs):
    made = bundled(tmp_path, inputs)
    loaded = Bundle(made.path / FOLDER)
    assert loaded.manifest["date"] == DATE
    assert loaded.manifest["lineage"] == {n: {"date": DATE, "key": f"key-of-{n}"} for n in inputs}
    assert loaded.manifest["versions"].keys() == {"faiss", "onnx", "onnxruntime", "torch", "numpy", "pyarrow"}
    assert not any("+" in version for version in loaded.manifest["versions"].values())
    assert loaded.pipeline["k"] == 5
    assert made.notes["digest"] == loaded.manifest["digest"]
    assert made.notes["num_files"] == len(loaded.manifest["files"])


def test_the_same_inputs_give_the_same_bundle(tmp_path, inputs):
    first, second = (bundled(tmp_path, inputs, name) for name in ("one", "two"))
    assert first.notes["digest"] == second.notes["digest"]


def test_an_index_of_other_towers_makes_no_bundle(tmp_path, inputs):
    inputs["towers"] = published(outputs(tmp_path, "towers"), "towers", tower_digest="0" * 64)
    with pytest.raises(Failure, match="built from towers ffffffffffff, but the bundle has towers 000000000000"):
        bundled(tmp_path, inputs)


def test_every_user_gets_a_list_from_the_bundles_own_runtime(tmp_path, inputs, monkeypatch):
    monkeypatch.setattr("models.runtime.release.BATCH", 8)
    made = bundled(tmp_path, inputs)
    out = outputs(tmp_path / "lists", "recommendations")
    told = []
    out.report = lambda done, total, what: told.append((done, total))
    recommendations.function(out, made)
    lists = published(out, "recommendations")
    release = Bundle(made.path / FOLDER)
    expected = release.recommend(range(30))
    assert lists.table().select(expected.table.column_names).cast(expected.table.schema).equals(expected.table)
    outside = {(row["kind"], row["id"]): row["external_id"] for row in release.id_map.to_pylist()}
    for row in lists.table().to_pylist():
        assert row["external_user_id"] == outside["user", row["user_id"]]
        assert row["external_item_id"] == outside["item", row["item_id"]]
    assert told == [(8, 30), (16, 30), (24, 30), (30, 30)]
    lengths = ListLengths(5, 30, 0, 0).to_dict()
    assert lists.notes == {
        "num_users": 30, "removals": expected.removals, "sources": expected.sources, "lengths": lengths,
    }  # fmt: skip


@pytest.mark.parametrize("seen_by", [[0], [7, 29], range(30)])
def test_whoever_has_seen_everything_has_no_list_and_the_release_is_good(tmp_path, inputs, seen_by):
    histories = inputs["histories"].table().to_pylist()
    known = {row["user_id"] for row in histories}
    everything = inputs["items"].table()["item_id"].to_pylist()
    rows = [row | {"seen": everything} if row["user_id"] in seen_by else row for row in histories]
    out = outputs(tmp_path / "seen", "histories")
    out["histories"].write(pa.Table.from_pylist(rows, inputs["histories"].table().schema))
    made = bundled(tmp_path, inputs | {"histories": published(out, "histories")})
    out = outputs(tmp_path / "lists", "recommendations")
    recommendations.function(out, made)
    lengths = ListLengths(**published(out, "recommendations").notes["lengths"])
    empty = len(known & set(seen_by))
    assert (lengths.num_empty, lengths.num_short, lengths.reasons) == (empty, 0, {"seen": empty})
    assert f"{empty} of 30 users have no list" in lengths.sentence
    try_release(made.path / FOLDER, ("all",))


def test_content_similarity_reads_the_catalogue(tmp_path, inputs):
    out = outputs(tmp_path / "content", "content_similarity")
    content_similarity.function(out, inputs["items"], ContentConfig(num_neighbours=4))
    expected = similarity_of(inputs["items"].table(), ContentConfig(num_neighbours=4))
    assert published(out, "content_similarity").table().equals(expected)
