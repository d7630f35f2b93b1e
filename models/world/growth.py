"""How the service grows: how many users or items there are by a day, and who came when."""

import numpy as np


class Growth:
    """Arrivals at one even pace before the log begins and at another from then on.

    Days are ordinals. Numbers count from 0 in order of arrival, so what exists by a day are the first ones.
    """

    def __init__(self, total: int, per_day: float, num_days: int, first_day: int, past_days: int) -> None:
        """`total` are reached at the end of `num_days`; the first came `past_days` before the log began."""
        self.first_day = first_day
        self.per_day = max(min(per_day, 0.9 * total / num_days), 1e-9)
        self.before = total - self.per_day * num_days
        self.before_per_day = self.before / past_days

    def by(self, day: int) -> int:
        """Number at the end of a day."""
        days = day - self.first_day + 1
        pace = self.per_day if days > 0 else self.before_per_day
        # Sums of a pace such as 16.67 a day must not fall short of a whole number by a rounding error.
        return max(int(self.before + pace * days + 1e-6), 0)

    def day_of(self, numbers: np.ndarray) -> np.ndarray:
        """Day on which each comes, int64: the first whose `by` counts it."""
        short = numbers + 1 - self.before - 1e-6
        days = np.ceil(short / np.where(short > 0, self.per_day, self.before_per_day))
        return self.first_day - 1 + days.astype(np.int64)
