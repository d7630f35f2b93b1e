from collections import Counter

import numpy as np
import pytest

from models.metrics import study
from models.metrics.item_sets import ItemSets
from models.metrics.study import combined, study_metrics, top_genres

NUM_GENRES, KS = 7, (1, 3, 8, 12)


def slow_reference(items: list[int], watched: list[int], genre: np.ndarray, k: int) -> tuple[float, float]:
    counts = Counter(int(genre[i]) for i in watched if genre[i] >= 0)
    top = sorted(counts, key=lambda g: (-counts[g], g))[:3]
    shown = [int(genre[i]) for i in items[:k] if i >= 0]
    precision = sum(g in top for g in shown) / k if top else np.nan
    return precision, len({g for g in shown if g >= 0}) / min(k, NUM_GENRES)


@pytest.mark.parametrize("seed", range(4))
def test_both_equal_the_slow_reference(seed: int):
    random = np.random.default_rng(seed)
    genre = random.integers(-1, NUM_GENRES, size=50)
    lists = np.array([random.permutation(50)[:8] for _ in range(30)])
    lists[4, 5:] = -1
    lists[5] = -1
    watched = [random.integers(50, size=random.integers(0, 15)).tolist() for _ in range(30)]
    offsets = np.concatenate([[0], np.cumsum([len(w) for w in watched])])
    history = ItemSets(offsets, np.array([i for w in watched for i in w], dtype=np.int64))
    values = study_metrics(lists, top_genres(history, genre, NUM_GENRES), genre, KS)
    for k in KS:
        expected = np.array([slow_reference(*pair, genre, k) for pair in zip(lists.tolist(), watched, strict=True)])
        assert values[study.PRECISION, k] == pytest.approx(expected[:, 0], nan_ok=True)
        assert values[study.DIVERSITY, k] == pytest.approx(expected[:, 1])


def test_lists_of_one_loved_genre_are_precise_and_dull():
    genre = np.array([0, 0, 0, 0, 1, 2, 3])
    top = np.array([[True, False, False, False]])
    values = study_metrics(np.array([[0, 1, 2, 3]]), top, genre, [4])
    assert (values[study.PRECISION, 4][0], values[study.DIVERSITY, 4][0]) == (1, 0.25)
    values = study_metrics(np.array([[0, 4, 5, 6]]), top, genre, [4])
    assert (values[study.PRECISION, 4][0], values[study.DIVERSITY, 4][0]) == (0.25, 1)


def test_combined_is_what_the_study_printed():
    precision, diversity = np.array([0.860, 0.524, 0.542]), np.array([0.655, 1.000, 0.738])
    assert combined(precision, diversity) == pytest.approx([0.744, 0.688, 0.625], abs=5e-4)
    assert combined(np.array([0.0, np.nan]), np.array([0.0, 1.0])) == pytest.approx([0, np.nan], nan_ok=True)
