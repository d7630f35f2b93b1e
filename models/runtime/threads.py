"""How many threads FAISS takes for a question."""

from collections.abc import Iterator
from contextlib import contextmanager

import faiss

ENOUGH = 32
"""Queries that are worth a thread: to wake and await one takes longer than to answer a few."""


@contextmanager
def faiss_threads(most: int, num_queries: int = 1) -> Iterator[None]:
    """FAISS, called from this thread, takes at most so many, and no more than its queries are worth.

    Its own choice is all cores, for a single query too. OpenMP keeps the number for each thread that calls it, so
    nobody else's changes; this thread's is what it was afterwards.
    """
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(max(1, min(most, num_queries // ENOUGH)))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
