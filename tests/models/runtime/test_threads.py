"""FAISS takes the threads that the bundle was given, and leaves those of whoever asks as they were."""

import threading

import faiss
import numpy as np
import pytest

from models.runtime import Bundle
from models.runtime.index import Shard
from models.runtime.threads import ENOUGH
from tests.models.runtime.test_arguments import METHODS, OWN, ask

OWN_CHOICE = 3
"""Threads of whoever asks; none of the bundle's own numbers."""

SEARCHES_NOTHING = {"watch", "watched_since", "replay", "user_vectors", "embed", "with_pipeline", "ids", "outside_ids"}


@pytest.fixture
def caller():
    """Whoever asks has chosen a number of threads."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(OWN_CHOICE)
    yield
    faiss.omp_set_num_threads(before)


@pytest.fixture
def taken(monkeypatch):
    """Number of threads of every call of FAISS."""
    found: list[int] = []
    search, knn = Shard.search, faiss.knn

    def told(inner):
        def called(*arguments, **named):
            found.append(faiss.omp_get_max_threads())
            return inner(*arguments, **named)

        return called

    monkeypatch.setattr(Shard, "search", told(search))
    monkeypatch.setattr(faiss, "knn", told(knn))
    return found


def good(bundle, method):
    own = {"items": bundle.items, "pipeline": bundle.pipeline, "watched": bundle.watched_since()}
    return {name: own[name] for name in OWN & set(getattr(Bundle, method).__annotations__)}


@pytest.mark.parametrize("method", METHODS)
def test_one_question_takes_one_thread_and_changes_nothing(method, path, caller, taken):
    bundle = Bundle(path, threads=2)
    answer = ask(bundle, method, **good(bundle, method))
    if method == "stream":
        assert list(answer)
    assert set(taken) == (set() if method in SEARCHES_NOTHING else {1})
    assert faiss.omp_get_max_threads() == OWN_CHOICE


@pytest.mark.parametrize(("threads", "expected"), [(1, 1), (2, 2), (64, 4)])
def test_many_queries_take_the_bundles_threads_but_no_more_than_they_are_worth(threads, expected, path, caller, taken):
    bundle = Bundle(path, threads=threads)
    users = np.arange(4 * ENOUGH) % 40
    vectors = bundle.user_vectors(users)
    taken.clear()
    assert bundle.search(vectors, 5)[0].shape == (len(users), 5)
    assert bundle.retrieve("towers", users, 5)[0].shape == (len(users), 5)
    assert bundle.retrieve("als", users % 36, 5)[0].shape == (len(users), 5)
    assert set(taken) == {expected} and faiss.omp_get_max_threads() == OWN_CHOICE


def test_a_question_that_fails_changes_nothing_either(path, caller, monkeypatch):
    bundle = Bundle(path, threads=1)
    monkeypatch.setattr(Shard, "search", lambda *_: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        bundle.similar(3)
    assert faiss.omp_get_max_threads() == OWN_CHOICE


def test_other_threads_keep_their_own_while_it_asks(path, caller, monkeypatch):
    bundle, search, seen = Bundle(path, threads=1), Shard.search, []

    def look(*arguments):
        other = threading.Thread(target=lambda: seen.append(faiss.omp_get_max_threads()))
        other.start()
        other.join()
        return search(*arguments)

    before: list[int] = []
    first = threading.Thread(target=lambda: before.append(faiss.omp_get_max_threads()))
    first.start()
    first.join()
    monkeypatch.setattr(Shard, "search", look)
    bundle.similar(3)
    assert set(seen) == set(before)
