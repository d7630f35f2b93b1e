"""The files of an index: what they say, and that they can be searched."""

import json

import faiss
import numpy as np

from models.index.build import build_shards
from models.index.config import IndexConfig
from models.index.files import write_index
from models.index.recall import search, tune
from models.runtime.index import ItemIndex


def test_what_was_tuned_is_written_and_read_by_the_runtime(tmp_path, shards, queries):
    config = IndexConfig(type="ivf", min_recall=0.9)
    chosen, indexes = build_shards(shards, config, threads=2)
    rungs = tune(chosen, indexes, shards, queries, config)
    described = write_index(tmp_path, chosen, indexes, rungs, {"tower_digest": "abc"})
    assert json.loads((tmp_path / "index.json").read_text()) == described
    assert described["search"] == f"nprobe={rungs[-1].parameter}" and described["tower_digest"] == "abc"
    assert (described["type"], described["num_items"], described["dim"]) == ("ivf", 3000, 16)
    assert described["recall"] == round(rungs[-1].recall, 4) == described["ladder"][-1]["recall"]
    files = [tmp_path / shard["file"] for shard in described["shards"]]
    assert [shard["num_items"] for shard in described["shards"]] == [1000, 1000, 1000]
    expected = search(indexes, queries, 20)
    assert (search([faiss.read_index(str(file)) for file in files], queries, 20) == expected).all()
    found, scores = ItemIndex(files).search(queries, 20)
    assert (found == expected).mean() > 0.99 and (np.diff(scores) <= 0).all()


def test_an_exact_index_has_no_search_effort(tmp_path, shards, queries):
    config = IndexConfig(type="flat")
    chosen, indexes = build_shards(shards, config, threads=1)
    rungs = tune(chosen, indexes, shards, queries, config)
    assert write_index(tmp_path, chosen, indexes, rungs, {})["search"] == ""
