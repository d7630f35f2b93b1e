"""New items between nights: found exactly where they belong, by a bundle whose base is untouched."""

import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper

from benchmarks.made_bundle import make_bundle, make_tables
from expectations.errors import Failure, UserError
from models.index.recall import exact
from models.runtime import Bundle
from models.serving import export
from models.serving.increment import DELTA, extend

DIM, NUM_ITEMS = 16, 150


def change(folder, **facts):
    """Write the manifest again after files or facts were changed."""
    known = json.loads((folder / "manifest.json").read_text()) | facts
    export.write_manifest(folder, export.facts_of(known))


@pytest.fixture(scope="module")
def base(tmp_path_factory, pipeline):
    """A made bundle whose item tower gives an item's `embedding` at unit length."""
    path = make_bundle(tmp_path_factory.mktemp("base"), make_tables(40, NUM_ITEMS, DIM), pipeline)
    node = helper.make_node("LpNormalization", ["item_embedding"], ["item_vector"], axis=1, p=2)
    values = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", DIM]) for n in ("item_embedding", "item_vector")
    ]
    graph = helper.make_graph([node], "made", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path / "item_tower.onnx")
    encoders = json.loads((path / "encoders.json").read_text())
    encoders["item"] = [{"name": "item_embedding", "column": "embedding", "kind": "vector", "length": DIM}]
    (path / "encoders.json").write_text(json.dumps(encoders))
    change(path)
    return path


def items(*names, seed=0):
    vectors = np.random.default_rng([seed, len(names)]).normal(size=(len(names), DIM))
    return pa.table({"external_id": list(names), "title": [f"New {n}" for n in names], "embedding": vectors.tolist()})


def everything(bundle):
    """Ids and vectors of all that the tables know."""
    table = pq.read_table(bundle.path / "embeddings.parquet")
    return table["item_id"].to_numpy().astype(np.int64), np.array(table["vector"].to_pylist(), np.float32)


def queries(bundle):
    return np.ascontiguousarray(bundle.features.users.vectors(np.arange(40))[:, 0])


def test_new_items_are_found_exactly_where_they_belong(base, tmp_path):
    done = extend(base, tmp_path / "grown", items("n1", "n2", "n3"), ["i7", "i20"], {"version": 4})
    grown = Bundle(tmp_path / "grown")
    ids = grown.ids("item", ["n1", "n2", "n3"])
    assert ids.tolist() == [NUM_ITEMS, NUM_ITEMS + 1, NUM_ITEMS + 2]
    assert (done.added, done.removed, done.num_items, done.recall) == (3, 2, NUM_ITEMS + 1, 1.0)
    found, _ = grown.search(queries(grown), 50)
    assert (found == exact([everything(grown)], queries(grown), 50)).all()
    own = items("n1", "n2", "n3")["embedding"].to_pylist()
    for item_id, vector in zip(ids, np.array(own) / np.linalg.norm(own, axis=1, keepdims=True), strict=True):
        assert grown.search(vector[None].astype(np.float32), 1)[0][0, 0] == item_id
    assert grown.manifest["base"] == {"version": 4}
    assert grown.manifest["delta"] == {"added": ["n1", "n2", "n3"], "removed": ["i7", "i20"]}
    assert grown.manifest["index"]["delta"] == [{"file": "delta-00001.faiss", "num_items": 3}]


def test_what_is_removed_never_comes_again(base, tmp_path):
    popular = Bundle(base).recommend(range(40)).table["item_id"].to_pylist()
    gone = max(set(popular), key=popular.count)
    extend(base, tmp_path / "less", items(), [f"i{gone}"], {"version": 1})
    less = Bundle(tmp_path / "less")
    assert gone not in less.recommend(range(40)).table["item_id"].to_pylist()
    assert gone not in less.search(queries(less), NUM_ITEMS)[0] and (less.search(queries(less), 140)[0] >= 0).all()
    assert gone not in less.retrieve("towers", list(range(40)), 30)[0]
    with pytest.raises(ValueError, match="is not known to this release"):
        less.ids("item", [f"i{gone}"])


def test_the_base_is_untouched_and_its_index_is_shared(base, tmp_path):
    before = {p.relative_to(base): p.read_bytes() for p in base.rglob("*") if p.is_file()}
    extend(base, tmp_path / "grown", items("n1"), ["i1"], {"version": 1})
    assert {p.relative_to(base): p.read_bytes() for p in base.rglob("*") if p.is_file()} == before
    changed = {name.as_posix() for name, data in before.items() if (tmp_path / "grown" / name).read_bytes() != data}
    tables = {"items.parquet", "id_map.parquet", "embeddings.parquet"}
    assert changed == tables | {"index/index.json", "manifest.json", "README.md"}


def test_additions_to_additions_share_one_delta(base, tmp_path):
    extend(base, tmp_path / "once", items("n1", "n2"), [], {"version": 1})
    done = extend(tmp_path / "once", tmp_path / "twice", items("n3", seed=1), ["n1", "i3"], {"version": 1})
    twice = Bundle(tmp_path / "twice")
    assert twice.manifest["index"]["delta"] == [{"file": "delta-00001.faiss", "num_items": 2}]
    assert twice.manifest["index"]["removed"] == 2 and done.num_items == NUM_ITEMS + 1
    found, _ = twice.search(queries(twice), 60)
    assert (found == exact([everything(twice)], queries(twice), 60)).all()
    last = extend(tmp_path / "twice", tmp_path / "thrice", items(), ["n2", "n3"], {"version": 1})
    assert last.num_items == NUM_ITEMS - 1 and not (tmp_path / "thrice" / DELTA).exists()
    ids = extend(tmp_path / "thrice", tmp_path / "more", items("n9"), [], {"version": 1})
    assert ids.num_items == NUM_ITEMS and Bundle(tmp_path / "more").ids("item", ["n9"])[0] not in (1, 3, 7)


def test_its_readme_works(base, tmp_path):
    """Also when the item that the base's README takes as an example is gone."""
    extend(base, tmp_path / "grown", items("n1"), ["i0"], {"version": 4})
    readme = (tmp_path / "grown" / "README.md").read_text()
    code = readme.split("```python\n")[1].split("```")[0].replace("path/of/this/folder", str(tmp_path / "grown"))
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0 and "It is version 4 with other items." in readme, done.stderr


@pytest.mark.parametrize(
    ("new", "removed", "words"),
    [
        (items("i5", "n1"), [], "1 of the new items are in the release already, such as 'i5'"),
        (items("n1", "n1"), [], "item 'n1' is in the file more than once"),
        (items("n1"), ["x"], "1 of the items to remove are not in the release, such as 'x'"),
        (items(), [], "nothing to add and nothing to remove"),
    ],
)
def test_what_makes_no_sense_is_refused(base, tmp_path, new, removed, words):
    with pytest.raises(UserError, match=words):
        extend(base, tmp_path / "grown", new, removed, {"version": 1})
    assert not (tmp_path / "grown").exists()


def test_an_index_that_no_longer_finds_enough_is_refused(base, tmp_path):
    strict = shutil.copytree(base, tmp_path / "strict")
    described = json.loads((strict / "index" / "index.json").read_text()) | {"min_recall": 1.01}
    (strict / "index" / "index.json").write_text(json.dumps(described))
    change(strict, index=described)
    with pytest.raises(Failure, match=r"find 1\.000 of the exact 100 nearest, index\.min_recall asks for 1\.01"):
        extend(strict, tmp_path / "grown", items("n1"), [], {"version": 1})
