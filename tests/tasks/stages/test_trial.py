"""Stage `trial`: another pipeline over a loaded bundle is judged exactly as the night would judge it."""

import shutil
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.made_bundle import make_bundle, make_tables
from expectations.outside_ids import OutsideIds
from models.evaluation.config import EvaluationConfig
from models.runtime import Bundle
from models.serving.config import OrderConfig, PipelineConfig
from tasks.engine.lake import Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import plain
from tasks.machine.config import ResourcesConfig
from tasks.registry.release_layout import FOLDER
from tasks.stages.evaluation import evaluation
from tasks.stages.groups import Known, Yardsticks
from tasks.stages.trial import BUNDLE, LastValue, trial

CUT, DATE = "2026-03-01", "2026-03-02"
NUM_USERS, NUM_ITEMS = 50, 120
CONFIG = EvaluationConfig(ks=(3, 20), primary_k=10, num_resamples=100)
TRAINED_WITH = PipelineConfig(pool_size=60)
OTHER = PipelineConfig(k=7, pool_size=40, order=OrderConfig(mmr_lambda=0.6, exploration_position=0))


@pytest.fixture(scope="module")
def inputs(artifact_of: Callable[..., Artifact], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root, tables = tmp_path_factory.mktemp("lake"), make_tables(NUM_USERS, NUM_ITEMS)
    bundle = artifact_of(root, "bundle", CUT)
    made = make_bundle(tmp_path_factory.mktemp("made"), tables, plain(TRAINED_WITH))
    shutil.copytree(made, bundle.path / FOLDER)
    liked = Bundle(made).retrieve("als", list(range(NUM_USERS)), 3)[0]
    watched = [
        {"watch_id": n, "user_id": u, "item_id": int(i), "time": 0, "weight": 1.0, "positive": True}
        for n, (u, i) in enumerate((u, i) for u in range(NUM_USERS) for i in liked[u] if i >= 0)
    ]
    oracle = [
        {"user_id": u, "rank": r, "item_id": int(i), "score": 1.0}
        for u, items in enumerate(liked)
        for r, i in enumerate(items[items >= 0], 1)
    ]
    known = Known(*(artifact_of(root, name, CUT, tables[name]) for name in ("users", "items", "id_map")))
    histories, popular = (artifact_of(root, name, CUT, tables[name]) for name in ("histories", "popularity"))
    watches, best = (artifact_of(root, "watches", DATE, watched),), (artifact_of(root, "oracle", CUT, oracle),)
    return {"bundle": bundle, "by": Yardsticks(watches, known, histories, popular, best), "config": CONFIG}


@pytest.fixture
def judge(inputs: dict[str, Any], tmp_path: Any) -> Callable[[PipelineConfig], pa.Table]:
    def run(pipeline: PipelineConfig) -> pa.Table:
        out = Outputs(DATE, tmp_path / f"{pipeline.k}", ("trial",), ResourcesConfig(), tmp_path, "trial")
        trial.function(out, **inputs, pipeline=pipeline)
        return pq.read_table(out["trial"].path)

    return run


def figures(table: pa.Table) -> dict[tuple[str, int], tuple[float, Any, Any]]:
    return {(r["metric"], r["k"]): (r["value"], r["low"], r["high"]) for r in table.to_pylist()}


@pytest.mark.parametrize("pipeline", [TRAINED_WITH, OTHER], ids=["its own pipeline", "another"])
def test_its_figures_are_those_of_a_night_with_that_pipeline(judge, inputs, pipeline, tmp_path, artifact_of):
    folder = tmp_path / "night"
    shutil.copytree(inputs["bundle"].path, folder / "bundle")
    release = Bundle(folder / "bundle" / FOLDER, pipeline=plain(pipeline))
    outside = OutsideIds(release.id_map)
    lists = pa.Table.from_batches(map(outside.beside, release.recommend(range(NUM_USERS)).table.to_batches()))
    out = Outputs(DATE, folder / "out", ("evaluation",), ResourcesConfig(), folder, "evaluation")
    recommendations = artifact_of(folder, "recommendations", DATE, lists)
    evaluation.function(out, **inputs, recommendations=recommendations)
    night = [r for r in pq.read_table(out["evaluation"].path).to_pylist() if r["segment"] == "all"]
    final = {(r["metric"], r["k"]): (r["value"], r["low"], r["high"]) for r in night if r["system"] == "final"}
    ours = figures(judge(pipeline))
    assert {"ndcg", "recall", "coverage", "study_precision", "study_combined"} <= {metric for metric, _ in final}
    for key, (value, low, high) in final.items():
        assert ours[key][0] == pytest.approx(value, abs=1e-12), key
        if low is not None:
            assert ours[key][1:] == pytest.approx((low, high), abs=0.02), key
    oracle = {(r["metric"], r["k"]): r["value"] for r in night if r["system"] == "oracle"}
    assert ours["oracle_ndcg", 10][0] == pytest.approx(oracle["ndcg", 10])


def test_the_length_of_the_lists_is_a_cut_off_too(judge):
    found = figures(judge(OTHER))
    assert {("ndcg", 7), ("study_combined", 7), ("coverage", 7), ("diversity", 7), ("oracle_ndcg", 7)} <= found.keys()


def test_the_mean_of_the_users_is_the_figure(judge):
    for row in judge(OTHER).to_pylist():
        if row["user_ids"]:
            assert np.mean(row["by_user"]) == pytest.approx(row["value"], abs=1e-8)
            assert len(row["user_ids"]) == len(row["by_user"]) == row["num_users"]


def test_a_bundle_is_loaded_once_for_pipelines_that_follow_each_other(judge):
    judge(OTHER)
    held = BUNDLE.get(BUNDLE._key, lambda: pytest.fail("loaded again"))
    judge(TRAINED_WITH)
    assert BUNDLE.get(BUNDLE._key, lambda: pytest.fail("loaded again")) is held


def test_only_the_last_value_is_held():
    made: list[str] = []
    held: LastValue[str] = LastValue()

    def make(key: str) -> str:
        made.append(key)
        return key

    for key in ("a", "a", "b", "b", "a"):
        assert held.get(key, partial(make, key)) == key
    assert made == ["a", "b", "a"]
