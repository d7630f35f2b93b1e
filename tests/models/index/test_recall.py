"""Recall against brute force, the ladder, and what happens below the bar."""

import faiss
import numpy as np
import pytest

from expectations.errors import Failure
from models.index.build import build_shards
from models.index.config import IndexConfig
from models.index.recall import exact, latencies_ms, recall_at_k, search, tune
from tests.models.hnsw import hnsw_of


def tuned(shards, queries, **settings):
    config = IndexConfig(**settings)
    chosen, indexes = build_shards(shards, config, threads=2)
    return tune(chosen, indexes, shards, queries, config), indexes


def test_exact_search_equals_brute_force(shards, queries, nearest):
    assert (exact(shards, queries, 100) == nearest).mean() > 0.99  # equal scores may change places
    assert recall_at_k(exact(shards, queries, 100), nearest) == pytest.approx(1.0, abs=1e-3)


def test_shards_answer_as_one_index(shards, ids, vectors, queries, nearest):
    _, (whole,) = build_shards([(ids, vectors)], IndexConfig(type="flat"), threads=1)
    _, parts = build_shards(shards, IndexConfig(type="flat"), threads=1)
    assert (search([whole], queries, 100) == search(parts, queries, 100)).mean() > 0.99
    assert recall_at_k(search(parts, queries, 100), nearest) == pytest.approx(1.0, abs=1e-3)


def test_fewer_items_than_asked_for_are_padded(shards, queries):
    ids, vectors = shards[0]
    _, indexes = build_shards([(ids[:3], vectors[:3])], IndexConfig(type="flat"), threads=1)
    found = search(indexes, queries, 5)
    assert (found[:, 3:] == -1).all() and (np.sort(found[:, :3]) == np.sort(ids[:3])).all()


def test_recall_by_hand():
    truth = np.array([[1, 2, 3, 4], [5, 6, -1, -1]])
    assert recall_at_k(np.array([[4, 9, 1, 8], [6, 5, 0, 0]]), truth) == pytest.approx(4 / 6)


@pytest.mark.parametrize(("chosen", "bar"), [("ivf", 0.9), ("hnsw", 0.96)])
def test_the_least_effort_that_reaches_the_bar_is_taken(chosen, bar, ids, vectors, queries, nearest):
    rungs, (index,) = tuned([(ids, vectors)], queries, type=chosen, min_recall=bar, hnsw_links=4, hnsw_build_beam=40)
    assert rungs[-1].recall >= bar and all(rung.recall < bar for rung in rungs[:-1]) and len(rungs) > 1
    assert rungs[-1].recall == pytest.approx(recall_at_k(search([index], queries, 100), nearest), abs=0.002)
    effort = hnsw_of(index).efSearch if chosen == "hnsw" else index.nprobe
    assert effort == rungs[-1].parameter


def test_a_higher_bar_takes_more_effort(shards, queries):
    low, high = (tuned(shards, queries, type="ivf", min_recall=bar)[0][-1] for bar in (0.5, 0.99))
    assert low.parameter < high.parameter and low.recall < high.recall


def test_the_effort_is_kept_in_the_file(shards, queries, tmp_path):
    rungs, indexes = tuned(shards, queries, type="ivf", min_recall=0.9)
    faiss.write_index(indexes[0], str(tmp_path / "s.faiss"))
    read = faiss.read_index(str(tmp_path / "s.faiss"))
    assert isinstance(read, faiss.IndexIVF) and read.nprobe == rungs[-1].parameter > 1


def test_flat_is_exact(shards, queries):
    rungs, _ = tuned(shards, queries, type="flat", min_recall=1.0)
    assert [(rung.parameter, rung.recall) for rung in rungs] == [(None, 1.0)]


def test_ivf_pq_below_its_bar_is_a_failure_with_a_remedy(shards, queries):
    expected = r"ivf_pq index finds 0\.\d+ of the exact 100 .*min_recall asks for 0\.95; nothing was published.*pq_code"
    with pytest.raises(Failure, match=expected):
        tuned(shards, queries, type="ivf_pq", pq_code_bytes=2, min_recall=0.95)


def test_the_recall_counts_the_configured_number_of_items(shards, queries):
    at_10, at_100 = (tuned(shards, queries, type="ivf", recall_k=k, min_recall=0.3)[0][0].recall for k in (10, 100))
    assert at_10 > at_100 + 0.05


def test_recall_of_a_catalogue_smaller_than_k_is_over_all_items(shards, queries):
    ids, vectors = shards[0]
    rungs, _ = tuned([(ids[:20], vectors[:20])], queries, type="flat", recall_k=100, min_recall=1.0)
    assert rungs[-1].recall == 1.0


def test_latencies_are_milliseconds(shards, queries):
    _, indexes = build_shards(shards, IndexConfig(type="flat"), threads=1)
    measured = latencies_ms(indexes, queries, 10)
    assert 0 < measured["p50"] <= measured["p99"] < 1000
