import numpy as np
import pytest

from models.world.audience import COLD_DAYS, Audience, comes, draw_audience, engagement, lifecycle, presence
from models.world.config import WorldConfig
from models.world.growth import Growth

FIRST_DAY = 739_000


def _draw(config: WorldConfig, count: int) -> Audience:
    per_day = config.cold_user_share / 2 * config.num_users / COLD_DAYS
    return draw_audience(config, Growth(config.num_users, per_day, 30, FIRST_DAY, 700), count)


def test_a_person_is_the_same_however_many_are_made() -> None:
    config = WorldConfig(num_users=9_000)
    few, many = _draw(config, 100), _draw(config, 9_000)
    for name in ("age", "region", "signup", "diligence", "rights"):
        assert np.array_equal(getattr(few, name), getattr(many, name)[: len(few)]), name
    assert np.array_equal(few.tastes.one, many.tastes.one[: len(few)])


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_the_share_asked_for_is_cold(share: float) -> None:
    """Signed up within three days, or not come for four weeks."""
    audience = _draw(WorldConfig(num_users=6_000, cold_user_share=share), 6_000)
    today = FIRST_DAY + 27
    users = np.flatnonzero(audience.signup <= today)
    came = np.any([comes(audience, 0, today - back, users) for back in range(28)], axis=0)
    cold = ~came | (audience.signup[users] > today - COLD_DAYS)
    assert cold.mean() == pytest.approx(share, abs=0.015)


def test_people_come_as_likely_as_they_are_said_to() -> None:
    audience = _draw(WorldConfig(num_users=6_000), 6_000)
    users = np.flatnonzero(audience.signup <= FIRST_DAY)
    likely = presence(audience, FIRST_DAY, users)
    came = comes(audience, 5, FIRST_DAY, users)
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        band = (likely >= low) & (likely < low + 0.2)
        assert came[band].mean() == pytest.approx(likely[band].mean(), abs=0.06)


def test_nobody_comes_before_signing_up() -> None:
    audience = _draw(WorldConfig(), 1_000)
    later = np.flatnonzero(audience.signup > FIRST_DAY + 3)
    assert len(later)
    assert not comes(audience, 0, FIRST_DAY + 3, later).any()


def test_lifecycle_and_engagement_tell_how_often_people_come() -> None:
    audience = _draw(WorldConfig(num_users=6_000), 6_000)
    today = FIRST_DAY + 20
    users = np.flatnonzero(audience.signup <= today)
    stage, tier = lifecycle(audience, today, users), engagement(audience, today, users)
    likely = presence(audience, today, users)
    assert np.all((stage == 0) == (audience.signup[users] > today - 14))
    assert likely[stage == 1].mean() > likely[stage == 2].mean() + 0.1
    assert likely[stage == 3].max() == 0
    expected = likely * audience.appetite[users]
    assert (
        expected[tier == 0].max() <= expected[tier == 1].min() <= expected[tier == 1].max() <= expected[tier == 2].min()
    )
    assert np.bincount(tier).min() > 0.2 * len(users)
