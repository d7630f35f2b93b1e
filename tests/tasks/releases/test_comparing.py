"""A release beside the champion, and two beside each other of whose nights not everything is left."""

import numpy as np

from models.runtime import Bundle
from tasks.engine.lake import Lake
from tasks.registry.registry import Registry
from tasks.releases.champion_lists import champion_lists
from tasks.releases.comparing import compare_versions
from tests.tasks.released import delete_for_good, make_release, register


def test_the_champion_is_asked_for_the_users_whom_it_knows_and_for_somebody_new_in_place_of_others(tmp_path):
    made = make_release(tmp_path / "made", 20, 60, seed=1)
    registry = Registry(tmp_path / "home")
    number, bundle = register(registry, made).number, Bundle(made)
    k = bundle.pipeline["k"]
    users = [*bundle.user_ids.tolist(), 999]
    found = champion_lists(registry, number, bundle.id_map, np.array(users), k, k, tmp_path / "scratch")
    expected = np.full((len(users), k), -1)
    for row in bundle.recommend(bundle.user_ids).table.to_pylist():
        expected[users.index(row["user_id"]), row["rank"] - 1] = row["item_id"]
    nobody = bundle.recommend_for_history([]).table["item_id"].to_pylist()
    expected[-1, : len(nobody)] = nobody
    assert found.tolist() == expected.tolist()


def test_a_run_that_was_deleted_for_good_is_left_out_and_named(tmp_path):
    registry = Registry(tmp_path / "home")
    first, second = (
        register(registry, make_release(tmp_path / name, 20, 60, seed=seed), f"2026-03-0{seed}")
        for seed, name in enumerate(("a", "b"), start=1)
    )
    delete_for_good(registry, second.run_id)
    found = compare_versions(
        registry, Lake(tmp_path / "lake", tmp_path / "scratch"), first, second, tmp_path / "scratch"
    )
    assert (
        found["metrics"] == {} and "the MLflow run of version 2, which had its figures, was deleted" in found["notes"]
    )
    assert (found["a"], found["b"]) == (1, 2) and "users.parquet" in found["files"]
