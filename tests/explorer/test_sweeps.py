"""What a sweep's table says: settings and figures told apart, effects, the front."""

import numpy as np
import pandas as pd
import pytest

from explorer.sweeps import effects, front, load, sweeps
from explorer.tabs.grid import show


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    rows = [
        {"rank": 1, "sweep": s, "pipeline.k": k, "towers.dim": 64, "ndcg@10": x + k / 100, "study_combined@k": 1 - x,
         "seconds": 1.5}
        for s, x in (("youtube", 0.1), ("netflix", 0.3)) for k in (5, 10, 20) if (s, k) != ("youtube", 20)
    ]  # fmt: skip
    for name in ("20260101T000000-aaaa", "20260102T000000-bbbb"):
        (home / "grids" / name).mkdir(parents=True)
        pd.DataFrame(rows).to_parquet(home / "grids" / name / "results.parquet")
    (home / "grids" / "20260103T000000-unfinished").mkdir()
    return home


def test_settings_are_what_varies_and_figures_are_numbers(home):
    assert sweeps(home) == ["20260102T000000-bbbb", "20260101T000000-aaaa"]
    sweep = load(home, sweeps(home)[0])
    assert sweep.settings == ["sweep", "pipeline.k"]
    assert sweep.figures == ["study_combined@k", "ndcg@10"]


def test_effects_are_in_order_of_the_values_and_do_not_take_a_sweep_for_a_setting(home):
    sweep = load(home, sweeps(home)[0])
    found = effects(sweep, "pipeline.k", "ndcg@10")
    assert list(found) == ["5", "10", "20"]
    assert all(e.low <= e.value <= e.high for e in found.values())
    # Only netflix, which is better by .2, was tried with 20: that is no merit of 20 but for the .1 beside 10.
    assert found["20"].value - found["10"].value < 0.15
    assert list(effects(sweep, "sweep", "ndcg@10")) == ["netflix", "youtube"]


def test_a_combination_that_failed_is_left_out(home):
    sweep = load(home, sweeps(home)[0])
    broken = sweep.table.copy()
    broken.loc[0, ["ndcg@10", "study_combined@k"]] = np.nan
    (home / "grids" / "20250101T000000-cccc").mkdir()
    broken.to_parquet(home / "grids" / "20250101T000000-cccc" / "results.parquet")
    assert len(load(home, "20250101T000000-cccc").table) == len(sweep.table) - 1
    assert "All combinations" in show(home, "20250101T000000-cccc", "ndcg@10", None)


def test_the_front_is_what_nothing_beats_in_both(home):
    sweep = load(home, sweeps(home)[0])
    xs, ys = sweep.table["study_combined@k"].to_numpy(), sweep.table["ndcg@10"].to_numpy()
    slow = {
        n for n in range(len(xs))
        if not any(xs[m] >= xs[n] and ys[m] >= ys[n] and (xs[m], ys[m]) != (xs[n], ys[n]) for m in range(len(xs)))
    }  # fmt: skip
    found = front(sweep, "study_combined@k", "ndcg@10")
    assert set(found) == slow and np.all(np.diff(xs[found]) >= 0)


def test_a_home_without_sweeps_says_how_to_make_one(tmp_path):
    assert "No sweep yet" in show(tmp_path, None, None, None)
