import numpy as np
import pytest

from models.world.growth import Growth


@pytest.mark.parametrize(("total", "per_day"), [(1_000, 50 / 3), (2_000, 6.0), (100, 0.0), (977, 3.3)])
def test_everyone_comes_on_the_first_day_that_counts_them(total: int, per_day: float) -> None:
    growth = Growth(total, per_day, num_days=30, first_day=1_000, past_days=200)
    came = growth.day_of(np.arange(total))
    assert np.all(np.diff(came) >= 0)
    for day in range(790, 1_030):
        assert growth.by(day) == np.count_nonzero(came <= day)
    assert growth.by(1_029) == total


def test_growth_is_even_and_goes_on() -> None:
    growth = Growth(1_000, 10, num_days=30, first_day=0, past_days=200)
    assert [growth.by(n + 1) - growth.by(n) for n in range(60)] == [10] * 60


def test_arrivals_never_empty_the_past() -> None:
    growth = Growth(1_000, 1_000, num_days=30, first_day=0, past_days=200)
    assert growth.by(-1) == 100
    assert growth.by(29) == 1_000
