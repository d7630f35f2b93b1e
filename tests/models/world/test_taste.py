from typing import Any

import numpy as np
import pytest

from models.world.config import WorldConfig
from models.world.draws import generator
from models.world.taste import Tastes, draw_tastes, fondness
from models.world.vocabulary import NICHES

SIZE = 4_000


def _draw(**settings: Any) -> tuple[WorldConfig, np.ndarray, Tastes]:
    """Tastes of people of few kinds, so that each kind has many; and their kind."""
    config = WorldConfig(**settings)
    kind = np.arange(SIZE) % 4
    age, gender = np.where(kind < 2, 20, 50), kind % 2
    tastes = draw_tastes(config, generator(9, "test"), age, gender, np.zeros_like(kind), np.zeros_like(kind))
    return config, kind, tastes


def _share_told_by_kind(kind: np.ndarray, tastes: Tastes) -> float:
    """Variance of the log tastes between kinds, as a share of all of it."""
    logs = np.log(tastes.one)
    between = np.stack([logs[kind == k].mean(axis=0) for k in range(4)])[kind]
    return float(between.var(axis=0).sum() / logs.var(axis=0).sum())


def test_a_taste_weighs_one_on_average_and_never_nothing() -> None:
    _, _, tastes = _draw()
    for each in (tastes.one, tastes.other):
        assert each.shape == (SIZE, NICHES)
        assert np.allclose(each.mean(axis=1), 1, atol=1e-4)
        assert each.min() > 0


def test_demographics_explain_tastes_only_where_asked_to() -> None:
    _, kind, tastes = _draw(demographic_share=0.4)
    assert _share_told_by_kind(kind, tastes) > 0.1
    _, kind, tastes = _draw(demographic_share=0)
    assert _share_told_by_kind(kind, tastes) < 0.01


def test_strength_makes_people_differ() -> None:
    spread = [np.log(_draw(taste_strength=s)[2].one).std() for s in (0.0, 1.0, 2.0)]
    assert spread[0] == pytest.approx(0, abs=1e-5)
    assert spread[2] > 1.5 * spread[1] > 0.5


def test_tastes_drift_smoothly_away_and_back_only_where_asked_to() -> None:
    users = np.arange(SIZE)
    config, _, tastes = _draw(drift=0.5, drift_period_days=90)
    moved = [np.abs(tastes.on(day, users, config) - tastes.on(0, users, config)).mean() for day in (1, 10, 45, 90)]
    assert moved[0] < 0.2 * moved[1] < 0.2 * moved[2]
    assert moved[3] == pytest.approx(0, abs=1e-3)
    still, _, tastes = _draw(drift=0)
    assert np.array_equal(tastes.on(0, users, still), tastes.on(45, users, still))


def test_each_person_can_have_a_day_of_their_own() -> None:
    config, _, tastes = _draw(drift=0.5)
    days = np.array([3, 40, 77])
    together = tastes.on(days, np.arange(3), config)
    for n, day in enumerate(days):
        assert np.allclose(together[n], tastes.on(int(day), np.array([n]), config)[0])


def test_fondness_grows_with_taste_up_to_one() -> None:
    fond = fondness(np.array([0.0, 1.0, 5.0, 1_000.0]))
    assert fond[0] == 0
    assert np.all(np.diff(fond) > 0)
    assert fond[-1] == 1
