"""Two releases beside each other, of whose nights not everything is left."""

from tasks.engine.lake import Lake
from tasks.registry.registry import Registry
from tasks.releases.comparing import compare_versions
from tests.tasks.released import delete_for_good, make_release, register


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
