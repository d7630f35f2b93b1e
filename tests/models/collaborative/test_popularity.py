"""Counts, and models mixed with them."""

from dataclasses import replace

import numpy as np
import pytest

from models.collaborative.popularity import DAY_S, Popularity, WithPopularity, decayed_counts
from models.interactions import Histories, Interactions

HISTORIES = Histories.of(np.array([0, 0, 1]), np.array([2, 0, 2]), 2)
DATA = Interactions(HISTORIES, 4, ordered=True, times=np.array([0, 7, 14]) * DAY_S)


def test_older_interactions_count_less() -> None:
    assert decayed_counts(DATA, 7).tolist() == pytest.approx([0.5, 0, 1.25, 0])
    assert decayed_counts(DATA, 0).tolist() == [1, 0, 2, 0]
    assert decayed_counts(replace(DATA, times=None), 7).tolist() == [1, 0, 2, 0]


def test_a_share_leads_from_the_model_to_popularity() -> None:
    model, counts = Popularity(np.array([9, 8, 1, 0], np.float32)), np.array([0, 1, 8, 9], np.float32)
    best = [
        WithPopularity(model, counts, share).scores(np.arange(2), HISTORIES)[0].argmax() for share in (0, 0.4, 0.6, 1)
    ]
    assert best == [0, 0, 3, 3]


def test_scores_that_are_all_equal_stay_finite() -> None:
    mixed = WithPopularity(Popularity(np.ones(4, np.float32)), np.ones(4, np.float32), 0.5)
    assert np.isfinite(mixed.scores(np.arange(2), HISTORIES)).all()
