"""Every type of index answers with item ids, and its bytes depend on vectors and config alone."""

from contextvars import ContextVar
from typing import get_args

import faiss
import numpy as np
import pytest

from expectations.errors import UserError
from models.index.build import build_shard, build_shards, choose_type
from models.index.config import TYPES_IN_WORDS, IndexConfig, IndexType
from models.index.recall import search
from tests.models.hnsw import hnsw_of

TYPES = get_args(IndexType)


def bytes_of(indexes) -> list[bytes]:
    return [faiss.serialize_index(index).tobytes() for index in indexes]


@pytest.mark.parametrize(
    ("num_items", "expected"), [(1, "flat"), (99, "flat"), (100, "ivf"), (999, "ivf"), (1000, "ivf_pq")]
)
def test_auto_goes_by_size(num_items, expected):
    config = IndexConfig(ivf_from_items=100, ivf_pq_from_items=1000)
    assert choose_type(config, num_items) == expected


def test_pages_have_a_word_for_every_type():
    assert set(TYPES_IN_WORDS) == set(TYPES)
    assert len({*TYPES_IN_WORDS.values()}) == len(TYPES) and all(TYPES_IN_WORDS.values())


@pytest.mark.parametrize("chosen", TYPES)
def test_a_configured_type_is_taken_at_any_size(chosen, shards):
    assert choose_type(IndexConfig(type=chosen), 10) == chosen
    assert build_shards(shards[:1], IndexConfig(type=chosen), threads=1)[0] == chosen


@pytest.mark.parametrize("chosen", TYPES)
def test_an_item_is_found_by_its_own_vector(chosen, shards, ids, vectors):
    _, indexes = build_shards(shards, IndexConfig(type=chosen), threads=2)
    found = search(indexes, vectors[:50], k=5)
    assert (found == ids[:50, None]).any(axis=1).mean() > 0.95


@pytest.mark.parametrize("chosen", TYPES)
def test_the_bytes_do_not_depend_on_the_threads(chosen, shards):
    config = IndexConfig(type=chosen)
    one, two = (bytes_of(build_shards(shards, config, threads=threads)[1]) for threads in (1, 3))
    assert one == two


@pytest.mark.parametrize("chosen", ["ivf", "ivf_pq"])
def test_the_seed_decides_the_clusters(chosen, shards):
    one, other = (bytes_of(build_shards(shards, IndexConfig(type=chosen, seed=seed), threads=2)[1]) for seed in (0, 1))
    assert one != other


def test_settings_reach_the_index(shards):
    _, (lists, *_) = build_shards(shards, IndexConfig(type="ivf", num_lists=7), threads=1)
    assert faiss.extract_index_ivf(lists).nlist == 7
    _, (codes, *_) = build_shards(shards, IndexConfig(type="ivf_pq", pq_code_bytes=4), threads=1)
    assert faiss.extract_index_ivf(codes).code_size == 4
    graphs = [
        build_shard(shards[0], "hnsw", IndexConfig(hnsw_links=links, hnsw_build_beam=beam))
        for links, beam in ((4, 40), (8, 40), (8, 41))
    ]
    inner = [hnsw_of(graph) for graph in graphs]
    assert [hnsw.nb_neighbors(1) for hnsw in inner] == [4, 8, 8]
    assert [hnsw.efConstruction for hnsw in inner] == [40, 40, 41]


@pytest.mark.parametrize("chosen", TYPES)
@pytest.mark.parametrize("num_items", [2, 5, 100])
def test_small_shards_work(chosen, num_items, ids, vectors):
    shard = (ids[:num_items], vectors[:num_items])
    index = build_shard(shard, chosen, IndexConfig(pq_code_bytes=4))
    assert index.ntotal == num_items
    assert set(search([index], vectors[:1], k=num_items).ravel()) <= {-1, *ids[:num_items]}


def test_code_bytes_must_divide_the_dimensions(shards):
    with pytest.raises(UserError, match=r"pq_code_bytes is 5, .* 16 dimensions .* \[1, 2, 4, 8, 16\]"):
        build_shards(shards, IndexConfig(type="ivf_pq", pq_code_bytes=5), threads=1)


def test_no_more_than_so_many_shards_are_built_at_a_time(shards, monkeypatch):
    """And they are built beside each other at all."""
    import threading

    from models.index import build

    meet, running, most = threading.Barrier(3), [], []
    original = build.build_shard

    def watched(*args):
        running.append(1)
        meet.wait(timeout=400)
        most.append(len(running))
        return original(*args)

    monkeypatch.setattr(build, "build_shard", watched)
    build.build_shards(shards, IndexConfig(type="flat"), threads=3)
    assert most == [3, 3, 3] and np.sum(running) == 3


def test_every_shard_is_a_part_done_in_the_context_of_the_caller(shards):
    """So that what shows parts to people can tell which run they belong to, though threads do them."""
    run: ContextVar[str] = ContextVar("run")
    run.set("tonight")
    seen = []

    def part(name, work):
        seen.append((name, run.get("nobody's")))
        return work()

    _, indexes = build_shards(shards, IndexConfig(type="flat"), threads=2, part=part)
    assert [i.ntotal for i in indexes] == [len(ids) for ids, _ in shards]
    assert sorted(seen) == [(f"shard {n} of {len(shards)}", "tonight") for n in range(1, len(shards) + 1)]
