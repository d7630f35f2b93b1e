"""A sweep is logged once in each registry: what one knows of it says nothing of another."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flows.grid.state import Sweep
from flows.grid.tracking import Tracker
from tasks.registry.registry import Registry

NAMES = {"one", "two"}


def row(name: str) -> Any:
    """What the tracker looks at of a configuration that was judged."""
    trial = SimpleNamespace(row=SimpleNamespace(name=name, chosen={"pipeline.k": 5}))
    return SimpleNamespace(trial=trial, sweep="all", figures={"ndcg@10": 0.5}, error="")


def logged(sweep: Sweep, home: Path) -> set[str]:
    """Names of the configurations that a registry has, after the sweep has gone through all of them (again)."""
    tracker = Tracker(sweep, registry := Registry(home))
    with tracker.running():
        for name in sorted(NAMES):
            tracker.add(row(name))
    runs = registry.client.search_runs([registry.experiment_id()], "tags.`nightjar.kind` = 'trial'")
    assert {r.data.tags["mlflow.parentRunId"] for r in runs} == {sweep.mlflow[""]}
    assert len(runs) == len(NAMES), "each once"
    return {str(r.info.run_name) for r in runs}


def test_a_sweep_that_another_registry_knows_is_logged_here_too(tmp_path):
    sweep = Sweep(tmp_path, "20260101T000000-aaaa", "digest", {})
    for home in ("first", "second", "second"):
        assert logged(sweep, tmp_path / home) == NAMES


def test_a_sweep_is_logged_again_where_the_registry_was_tidied(tmp_path):
    sweep = Sweep(tmp_path, "20260101T000000-aaaa", "digest", {})
    assert logged(sweep, tmp_path / "home") == NAMES
    registry = Registry(tmp_path / "home")
    for run in registry.client.search_runs([registry.experiment_id()]):
        registry.client.delete_run(run.info.run_id)
    assert logged(sweep, tmp_path / "home") == NAMES
