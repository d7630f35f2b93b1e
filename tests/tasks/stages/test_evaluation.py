import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from benchmarks.made_bundle import make_bundle, make_tables
from expectations.errors import Failure
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

CUT, JUDGED, DATE = "2026-03-01", ("2026-03-02", "2026-03-03"), "2026-03-03"
NUM_USERS, NUM_ITEMS, NUM_LIKED = 60, 150, 3
CONFIG = EvaluationConfig(ks=(3, 20), primary_k=10, num_resamples=200)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    root = tmp_path_factory.mktemp("made")
    pipeline = PipelineConfig(pool_size=60, order=OrderConfig(series_cap=1, creator_cap=2))
    return Bundle(make_bundle(root, make_tables(NUM_USERS, NUM_ITEMS), plain(pipeline)), threads=2)


@pytest.fixture(scope="module")
def liked(served: Bundle) -> np.ndarray:
    """What people go on to like is planted: the first items that matrix factorisation finds for them."""
    return served.retrieve("als", list(range(NUM_USERS)), NUM_LIKED)[0]


@pytest.fixture(scope="module")
def inputs(
    served: Bundle, liked: np.ndarray, artifact_of: Callable[..., Artifact], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("lake")
    tables = make_tables(NUM_USERS, NUM_ITEMS)
    bundle = artifact_of(root, "bundle", CUT)
    shutil.copytree(served.path, bundle.path / FOLDER)
    outside = OutsideIds(served.id_map)
    lists = pa.Table.from_batches(map(outside.beside, served.recommend(range(NUM_USERS)).table.to_batches()))
    oracle = [
        {"user_id": u, "rank": r, "item_id": int(i), "score": 1.0}
        for u, items in enumerate(liked)
        for r, i in enumerate(items[items >= 0], 1)
    ]
    half = (np.arange(NUM_USERS) % 2).astype(bool)
    return {
        "bundle": bundle,
        "recommendations": artifact_of(root, "recommendations", DATE, lists),
        "watches": tuple(
            artifact_of(root, "watches", day, watched(liked, users))
            for day, users in zip(JUDGED, (half, ~half), strict=True)
        ),
        **{name: artifact_of(root, name, CUT, tables[name]) for name in ("users", "items", "id_map")},
        **{name: artifact_of(root, name, CUT, tables[name]) for name in ("histories", "popularity")},
        "oracle": (artifact_of(root, "oracle", CUT, oracle),),
        "config": CONFIG,
    }  # fmt: skip


def watched(liked: np.ndarray, users: np.ndarray) -> list[dict[str, Any]]:
    pairs = [(int(u), int(i)) for u in np.flatnonzero(users) for i in liked[u] if i >= 0]
    pairs += [(10_000, 1), (int(np.flatnonzero(users)[0]), 20_000)]  # somebody and something that came later
    return [
        {"watch_id": n, "user_id": u, "item_id": i, "time": 0, "weight": 1.0, "positive": True}
        for n, (u, i) in enumerate(pairs)
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[pa.Table, dict[str, Any]]]:
    def run(**arguments: Any) -> tuple[pa.Table, dict[str, Any]]:
        folder: Path = tmp_path_factory.mktemp("out")
        out = Outputs(DATE, folder, ("evaluation",), ResourcesConfig(), folder / "home", "evaluation")
        known = Known(*(arguments.pop(name) for name in ("users", "items", "id_map")))
        past = (arguments.pop(name) for name in ("histories", "popularity", "oracle"))
        evaluation.function(out, by=Yardsticks(arguments.pop("watches"), known, *past), **arguments)
        return pq.read_table(folder / "evaluation"), out.notes

    return run


@pytest.fixture(scope="module")
def judged(run, inputs) -> tuple[pa.Table, dict[str, Any]]:
    return run(**inputs)


def value(table: pa.Table, system: str, metric: str = "ndcg", k: int = 10, segment: str = "all") -> float:
    key = (pc.field("system") == system) & (pc.field("metric") == metric)
    (row,) = table.filter(key & (pc.field("k") == k) & (pc.field("segment") == segment)).to_pylist()
    return row["value"]


def test_the_source_that_finds_what_was_planted_is_found_to_be_best(judged):
    table, notes = judged
    assert value(table, "als", "recall", 3) == 1
    assert value(table, "als") == pytest.approx(1)
    assert value(table, "oracle") == pytest.approx(1)
    for system in ("towers", "content", "popularity", "random", "final"):
        assert value(table, system) < 0.9
    assert notes["ndcg"]["als"] == value(table, "als")
    assert notes["share_of_oracle"]["ratio"] == pytest.approx(value(table, "final"), abs=1e-6)


def test_leaving_it_out_costs_most(judged):
    table, _ = judged
    changes = {
        r["system"]: r["value"]
        for r in table.to_pylist()
        if r["metric"] == "ndcg_vs_final" and "without" in r["system"]
    }
    assert changes["without als"] < 0
    sources = ("als", "towers", "content", "popularity")
    assert min(sources, key=lambda s: changes[f"without {s}"]) == "als"


def test_the_control_is_what_was_served(judged):
    table, notes = judged
    assert notes["ablation_k"] == 20
    assert value(table, "without nothing", k=20) == pytest.approx(value(table, "final", k=20))


def test_every_part_left_out_changes_lists(judged):
    table, _ = judged
    overlaps = {
        r["system"]: r["value"]
        for r in table.to_pylist()
        if r["metric"] == "overlap_with_final" and r["system"].startswith("without")
    }
    assert len(overlaps) == 16
    assert all(0 < overlap < 1 for overlap in overlaps.values())


def test_notes_count_what_was_left_out_and_who_found_what(judged, liked):
    _, notes = judged
    left_out = notes["left_out"]
    assert left_out["counted"] == (liked >= 0).sum()
    assert (left_out["by_users_unknown_at_the_cut"], left_out["of_items_unknown_at_the_cut"]) == (2, 2)
    assert notes["users_judged"] == left_out["users_judged"]
    assert notes["judged_days"] == list(JUDGED)
    places = sum(found["recommended"] for found in notes["hits_by_source"].values())
    assert places == 10 * notes["users_judged"]
    hits = sum(found["hits"] for found in notes["hits_by_source"].values())
    assert 0 < hits <= left_out["counted"]


def test_again_gives_the_same_table(judged, run, inputs):
    assert run(**inputs)[0].equals(judged[0])


def test_a_sample_bounds_the_users_and_zero_ablations_means_none(run, inputs):
    config = EvaluationConfig(ks=(10,), max_users=20, max_ablation_users=0, num_resamples=100)
    table, notes = run(**inputs | {"config": config, "oracle": ()})
    assert notes["users_judged"] == 20
    assert table["num_users"].to_numpy().max() == 20
    systems = set(table["system"].to_pylist())
    assert systems == {"final", "towers", "als", "item_item", "content", "popularity", "random"}
    assert "share_of_oracle" not in notes


def test_the_seed_decides_sample_and_chance(run, inputs):
    quick: dict[str, Any] = {"max_users": 20, "max_ablation_users": 0, "num_resamples": 100}
    tables = [run(**inputs | {"config": EvaluationConfig(seed=s, **quick)})[0] for s in (0, 1)]
    assert not tables[0].equals(tables[1])


def test_a_late_row_in_the_histories_ends_the_night(run, inputs, artifact_of, tmp_path):
    late = inputs["histories"].table().to_pylist()
    late[0]["times"][-1] = int(datetime.fromisoformat(f"{JUDGED[0]}T08:00+00:00").timestamp())
    with pytest.raises(Failure, match=r"leak: 1 of .* not before the cut .* filter what is trained on by time"):
        run(**inputs | {"histories": artifact_of(tmp_path, "histories", CUT, late)})
