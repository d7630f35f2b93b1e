"""Unit vectors in clusters, as item vectors are."""

import numpy as np
import pytest


def clustered(num: int, dim: int, seed: int) -> np.ndarray:
    centres = np.random.default_rng(0).normal(size=(30, dim))
    rng = np.random.default_rng(seed)
    vectors = centres[rng.integers(0, len(centres), num)] + 0.7 * rng.normal(size=(num, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="session")
def vectors() -> np.ndarray:
    return clustered(3000, 16, seed=1)


@pytest.fixture(scope="session")
def ids() -> np.ndarray:
    """Ids with gaps, in no order, as large as int32 allows."""
    return np.random.default_rng(2).choice(2**31 - 1, 3000, replace=False).astype(np.int64)


@pytest.fixture(scope="session")
def shards(ids: np.ndarray, vectors: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(ids[k::3], np.ascontiguousarray(vectors[k::3])) for k in range(3)]


@pytest.fixture(scope="session")
def queries() -> np.ndarray:
    return clustered(100, 16, seed=3)


@pytest.fixture(scope="session")
def nearest(ids: np.ndarray, vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Brute force: the ids of the 100 nearest items of every query, best first."""
    return ids[np.argsort(-(queries @ vectors.T), axis=1)[:, :100]]
