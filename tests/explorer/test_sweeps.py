"""What a sweep's table says: settings and figures told apart, effects, the front."""

import shutil
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from explorer.sweeps import front, load, sweeps
from explorer.tabs.grid import show
from models.evaluation.effects import effects


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    rows = [
        {"rank": 1, "sweep": s, "pipeline.k": k, "towers.dim": 64, "ndcg@10": x + k / 100, "study_combined@k": 1 - x,
         "popularity_ndcg@k": k / 90, "seconds": 1.5}
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


@pytest.mark.parametrize(("names", "told"), [(("youtube",), "k 5 → 10"), (("youtube", "netflix"), "netflix: k 5 → 10")])
def test_effects_are_those_that_the_sweep_has_written(home, tmp_path, names, told):
    folder = tmp_path / "grids" / "20260101T000000-aaaa"
    shutil.copytree(home / "grids" / "20260101T000000-aaaa", folder)
    settings = [{"pipeline.k": 5, "als.factors": 8}, {"pipeline.k": 10, "als.factors": 8}]
    users = np.linspace(0, 1, 50)
    found = effects(settings, {"ndcg@10": np.stack([users / 2, users / 2 + 0.25])})
    steps = [{"sweep": name, **asdict(e), "before": str(e.before), "after": str(e.after)}
             for name in names for e in found]  # fmt: skip
    pd.DataFrame(steps).to_parquet(folder / "effects.parquet")
    assert load(tmp_path, folder.name).effects_on("ndcg@10")["difference"].tolist() == [0.25] * len(names)
    page = show(tmp_path, folder.name, "ndcg@10", None)
    assert told in page and "+0.2500 to +0.2500" in page
    assert "Not told of study_combined@k; choose one of ndcg@10." in show(tmp_path, folder.name, None, None)


def test_a_combination_that_failed_is_left_out(home):
    sweep = load(home, sweeps(home)[0])
    broken = sweep.table.copy()
    broken.loc[0, ["ndcg@10", "study_combined@k"]] = np.nan
    (home / "grids" / "20250101T000000-cccc").mkdir()
    broken.to_parquet(home / "grids" / "20250101T000000-cccc" / "results.parquet")
    assert len(load(home, "20250101T000000-cccc").table) == len(sweep.table) - 1
    page = show(home, "20250101T000000-cccc", "ndcg@10", None)
    assert "All combinations" in page and "No two combinations of this sweep differ in one setting alone" in page


def test_the_front_is_what_nothing_beats_in_both(home):
    sweep = load(home, sweeps(home)[0])
    xs, ys = sweep.table["study_combined@k"].to_numpy(), sweep.table["ndcg@10"].to_numpy()
    slow = {
        n for n in range(len(xs))
        if not any(xs[m] >= xs[n] and ys[m] >= ys[n] and (xs[m], ys[m]) != (xs[n], ys[n]) for m in range(len(xs)))
    }  # fmt: skip
    found = front(sweep, "study_combined@k", "ndcg@10")
    assert set(found) == slow and np.all(np.diff(xs[found]) >= 0)


def test_of_a_figure_that_is_better_when_smaller_the_smallest_is_best(tmp_path):
    folder = tmp_path / "grids" / "20260101T000000-aaaa"
    folder.mkdir(parents=True)
    rows = [{"sweep": "fusion", "pipeline.k": k, "gini@10": g, "ndcg@10": v}
            for k, g, v in ((5, 0.9, 0.3), (10, 0.2, 0.2), (20, 0.5, 0.1), (30, np.nan, 0.9))]  # fmt: skip
    pd.DataFrame(rows).to_parquet(folder / "results.parquet")
    sweep = load(tmp_path, folder.name)
    assert front(sweep, "gini@10", "ndcg@10") == [1, 0]
    assert front(sweep, "ndcg@10", "gini@10") == [1, 0]
    assert front(sweep, "gini@10", "gini@10") == [1]
    page = show(tmp_path, folder.name, "gini@10", "ndcg@10")
    places = [page.index(f'<td class="number">{n}</td>') for n in ("0.2000", "0.5000", "0.9000")]
    assert places == sorted(places) and "gini@10, less is better" in page


def test_a_home_without_sweeps_says_how_to_make_one(tmp_path):
    assert "No sweep yet" in show(tmp_path, None, None, None)
