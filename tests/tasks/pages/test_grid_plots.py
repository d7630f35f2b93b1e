"""Plots of a sweep stand in a page by themselves, in the page's colours."""

from tasks.pages.grid_plots import Point, fronts, heat_map


def test_a_heat_map_writes_its_values_and_leaves_holes():
    svg = heat_map("heat", ["64", "128"], ["5", "10"], [[0.1, 0.25], [float("nan"), 0.4]], "dim", "k")
    assert svg.startswith("<svg") and svg.endswith("</svg>")
    assert all(value in svg for value in ("0.100", "0.250", "0.400", "var(--first)", "dim ↓")) and "nan" not in svg


def test_a_map_of_equal_values_is_drawn():
    assert "0.500" in heat_map("heat", ["a"], ["b"], [[0.5]], "y", "x")


def test_a_front_names_its_series():
    svg = fronts(
        "front", {"youtube": [Point(0.1, 0.2, "best")], "hybrid": [Point(0.3, 0.1)]}, [Point(0.1, 0.2)], "a", "b"
    )
    assert svg.startswith("<svg") and svg.endswith("</svg>")
    assert "youtube" in svg and "hybrid" in svg and "best" in svg and "2 configurations, 1 on the front" in svg
