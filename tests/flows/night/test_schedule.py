"""Which nights a late schedule makes up for. That it does so on a real server: tests/deployments/test_browser.py."""

from datetime import date

import pytest

from flows.night.schedule import missed_days

DAY = date(2026, 3, 10)


def _days(*numbers: int) -> list[date]:
    return [date(2026, 3, n) for n in numbers]


@pytest.mark.parametrize(
    "released, missed, left_out",
    [
        ([], [], []),
        (["2026-03-09"], [], []),
        (["2026-03-06"], [7, 8, 9], []),
        (["2026-03-06", "2026-03-08"], [9], []),
        (["2026-03-02"], [6, 7, 8, 9], [3, 4, 5]),
        (["2026-03-08", "2026-03-10", "2026-03-12"], [9], []),
        (["2026-03-11"], [], []),
        (["", "2026-02-28"], [6, 7, 8, 9], [1, 2, 3, 4, 5]),
    ],
    ids=["never", "yesterday", "three", "gap", "too many", "later ones stand", "only later ones", "last month"],
)
def test_days_since_the_newest_release_before_the_day_are_made_up_for(released, missed, left_out):
    assert missed_days(released, DAY, 4) == (_days(*missed), _days(*left_out))


def test_nothing_is_made_up_for_when_nothing_may_be():
    assert missed_days(["2026-03-08"], DAY, 0) == ([], _days(9))
