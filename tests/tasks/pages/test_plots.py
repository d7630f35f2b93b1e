import re
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tasks.pages.plots import Estimate, bars, columns_by_day, compact, intervals, lines, share


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (0.25, "0.25"), (950, "950"), (1200, "1.2k"), (35_000, "35k"), (4_100_000, "4.1M"), (2e9, "2G")],
)
def test_counts_are_short(value: float, words: str):
    assert compact(value) == words


def test_small_shares_keep_a_decimal():
    assert [share(v) for v in (0, 0.004, 0.25, 1)] == ["0%", "0.4%", "25%", "100%"]


def text_of(svg: str) -> list[str]:
    return [t.strip() for t in re.findall(r"<text[^>]*>(.*?)</text>", svg, flags=re.DOTALL)]


def test_dots_carry_their_values_and_differences_their_sign():
    rows = {"als": {"": Estimate(0.25, 0.2, 0.3)}, "random": {"": Estimate(0.01, 0.01, 0.01)}}
    assert {"als", "0.250", "random", "0.010"} <= set(text_of(intervals("a", rows, "NDCG")))
    change = {"mmr": {"": Estimate(-0.02, -0.03, -0.01)}}
    assert any(
        "0.0200" in t and t[0] in "-−" for t in text_of(intervals("b", change, "change", zero_line=True, digits=4))
    )


def test_several_series_are_named_in_the_plot():
    row = {"final": Estimate(0.2, 0.1, 0.3), "popularity": Estimate(0.1, 0.05, 0.15)}
    assert {"● final", "● popularity"} <= set(text_of(intervals("a", {"new": row, "active": row}, "NDCG")))


def test_lines_are_named_at_their_ends_when_there_are_several():
    one, two = {"final": ([1, 5], [0.1, 0.2])}, {"final": ([1, 5], [0.1, 0.2]), "random": ([1, 5], [0, 0.01])}
    assert "final" not in text_of(lines("a", one, "K", "recall"))
    assert {"final", "random", "K", "recall"} <= set(text_of(lines("a", two, "K", "recall")))


def test_bars_stand_on_zero_and_carry_their_values():
    svg = bars("a", {"seen": {"": 900.0}, "region": {"": 880.0}}, "removed")
    assert {"seen", "900", "880", "0"} <= set(text_of(svg))


def test_days_without_rows_stay_in_the_picture():
    days = ["2026-02-26", "2026-02-27", "2026-02-28"]
    svg = columns_by_day("a", days, {"watches": [10, 0, 12]}, ["2026-02-28"])
    assert {"02-26", "02-27", "02-28", "watches"} <= set(text_of(svg))


def test_the_same_numbers_give_the_same_text():
    rows = {"seen": {"": 900.0}}
    assert bars("a", rows, "removed") == bars("a", rows, "removed")
    assert 'id="b-' not in bars("a", rows, "removed")


def test_pages_drawn_side_by_side_are_what_each_is_alone():
    """matplotlib keeps its settings for the whole process; a backfill draws the reports of several nights at once."""
    draw = partial(bars, "a", {"seen": {"": 900.0}, "region": {"": 880.0}}, "removed")
    alone, interval = draw(), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads take turns within a drawing, not only between two
    try:
        with ThreadPoolExecutor(4) as pool:
            pages = list(pool.map(lambda _: draw(), range(40)))
    finally:
        sys.setswitchinterval(interval)
    assert set(pages) == {alone}
