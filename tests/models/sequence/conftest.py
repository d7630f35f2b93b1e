"""A small world of chains: after item i of a chain comes item i + 1, so what is next can be known for sure."""

import numpy as np
import pytest

from models.interactions import Histories, Interactions

CHAINS, LENGTH = 6, 8


@pytest.fixture(scope="session")
def chains() -> Interactions:
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(240):
        chain, start = rng.integers(CHAINS), rng.integers(LENGTH)
        rows.append(chain * LENGTH + (start + np.arange(rng.integers(3, LENGTH))) % LENGTH)
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in rows])])
    return Interactions(
        Histories(offsets.astype(np.int64), np.concatenate(rows).astype(np.int32)), CHAINS * LENGTH, ordered=True
    )
