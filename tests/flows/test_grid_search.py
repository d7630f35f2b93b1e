"""A sweep, run as a user runs it: shared work made once, killed and continued, repeated for nothing, its winner run."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import yaml

from flows.config import load_config
from tests.homes import LEARNT

pytestmark = pytest.mark.slow

GRID = {
    "search": {"objectives": ["ndcg@10"]},
    "sweeps": {
        "all": {
            "axes": {
                "embedding": {"keys": ["towers.dim"], "values": [8, 12]},
                "pipeline.k": [5, 10],
                "pipeline.rank.ranker_weight": [0.0, 0.15],
            }
        }
    },
}
TRIALS = 8


class Sweeps:
    """A home in which a night has run, and sweeps over the same night's settings."""

    def __init__(self, home: Any, grid: dict[str, Any]) -> None:
        self.home, self.file = home, home.path / "grid.yaml"
        self.trace = home.path / "trace"
        self.file.write_text(yaml.safe_dump({**grid, "night": yaml.safe_load(home.config.read_text())}))

    def run(self, *arguments: str, **environment: str) -> Any:
        self.trace.unlink(missing_ok=True)
        trace = {"NIGHTJAR_TRACE": str(self.trace), **environment}
        return self.home.command("grid", str(self.file), *arguments, **trace).wait(1200)

    def published(self, dataset: str) -> int:
        """Artifacts of a dataset that the last run has made."""
        lines = self.trace.read_text().splitlines() if self.trace.exists() else []
        return sum(line.split()[1] == "published" and line.split()[2].startswith(dataset + "/") for line in lines)

    @property
    def folder(self) -> Path:
        (only,) = (p.parent for p in (self.home.path / "home/grids").glob("*/grid.json"))
        return only

    def rows(self) -> list[dict[str, Any]]:
        return pq.read_table(self.folder / "results.parquet").to_pylist()


@pytest.fixture(scope="module")
def sweeps(continued: Callable[..., Any]) -> Sweeps:
    """What Spark makes stands already."""
    return Sweeps(continued(LEARNT), GRID)


@pytest.mark.timeout(1800)
def test_a_sweep_from_its_first_kill_to_its_winner(sweeps: Sweeps) -> None:
    dry = sweeps.home.ask("grid", str(sweeps.file), "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "trainings of towers             2, 0 there already" in dry.stdout

    killed = sweeps.run(NIGHTJAR_FAULT="trial:published")
    assert killed.returncode == -signal.SIGKILL and sweeps.published("towers") == 2
    left = sweeps.home.processes()
    began = sweeps.published("trial")
    assert 0 < began < TRIALS

    done = sweeps.run()
    assert done.returncode == 0, done.stdout + done.stderr
    _, alive = psutil.wait_procs(left, timeout=60)
    assert left and not alive, "the next run ends what the killed one left"
    trained = ("towers", "ranker", "als_user_factors", "bundle", "events")
    assert [sweeps.published(d) for d in trained] == [0] * 5
    assert sweeps.published("trial") == TRIALS - began
    rows = sweeps.rows()
    assert len(rows) == TRIALS and len({r["trial"] for r in rows}) == TRIALS
    assert {(r["embedding"], r["pipeline.k"]) for r in rows} == {(8, 5), (8, 10), (12, 5), (12, 10)}
    assert [r["ndcg@10"] for r in rows] == sorted((r["ndcg@10"] for r in rows), reverse=True)
    assert all(0 < r["oracle_share@k"] <= 1 and r["seconds"] > 0 for r in rows)
    assert f"best ndcg@10             {rows[0]['ndcg@10']:.4f}" in done.stdout
    assert len({round(r["ndcg@10"] / r["oracle_share@10"], 9) for r in rows}) == 1, "one oracle for lists of any length"
    assert all(0 < r["random_ndcg@10"] < r["popularity_ndcg@10"] < r["oracle_ndcg@10"] for r in rows)

    again = sweeps.run()
    assert again.returncode == 0 and not sweeps.trace.exists()
    assert {r["trial"]: r["ndcg@10"] for r in sweeps.rows()} == {r["trial"]: r["ndcg@10"] for r in rows}
    assert "12" in (sweeps.folder / "report.html").read_text()
    shown = sweeps.home.ask("grid", "show", sweeps.folder.name)
    assert shown.returncode == 0 and "embedding" in shown.stdout
    (listed,) = json.loads(sweeps.home.ask("grid", "list", "--json").stdout)
    assert listed["state"] == "succeeded" and listed["counts"]["configurations"] == TRIALS

    _winner_runs(sweeps, rows[0])
    _each_is_a_run_in_mlflow(sweeps)


def _winner_runs(sweeps: Sweeps, best: dict[str, Any]) -> None:
    """The night of the winner's config has the row's figures, and trains nothing."""
    winner = sweeps.folder / "winner.yaml"
    config = load_config(winner)
    assert config.towers.dim == best["embedding"]
    assert str(config.date) in best["trial"], "on another day its trainings would not stand"
    done = sweeps.home.run("run", str(winner))
    assert done.returncode == 0, done.stdout + done.stderr
    assert sweeps.home.states()["towers"] == "cached"
    (folder,) = sweeps.home.record()["refs"]["evaluation"]
    (part,) = (sweeps.home.path / "home/lake" / folder).glob("*.parquet")
    table = pq.read_table(part)
    final = {
        f"{r['metric']}@{r['k']}": r["value"]
        for r in table.to_pylist()
        if r["system"] == "final" and r["segment"] == "all"
    }
    for name in ("ndcg@10", "ndcg@5", "recall@20", "study_combined@10", "coverage@10", "novelty@10"):
        assert best[name] == pytest.approx(final[name], abs=1e-12), name


def _each_is_a_run_in_mlflow(sweeps: Sweeps) -> None:
    from tasks.registry.registry import Registry

    client = Registry(sweeps.home.path / "home").client
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(experiments, "tags.`nightjar.kind` = 'trial'", max_results=100)
    assert len(runs) == TRIALS and len({r.data.tags["mlflow.parentRunId"] for r in runs}) == 1
    rows = {(str(r["embedding"]), str(r["pipeline.k"]), r["ndcg@10"]) for r in sweeps.rows()}
    assert {
        (r.data.params["embedding"], r.data.params["pipeline.k"], r.data.metrics["ndcg_at_10"]) for r in runs
    } == rows


@pytest.mark.timeout(1800)
def test_a_search_goes_on_after_a_kill(sweeps: Sweeps) -> None:
    """Over trained systems that stand: only the trials are new, and all of them are asked for in the end."""
    search = {"method": "tpe", "trials": 5, "startup_trials": 2, "objectives": ["study_combined@k", "ndcg@10"]}
    home = sweeps.home
    tpe = Sweeps(home, {**GRID, "search": search})
    killed = tpe.run("--set", "pipeline.order.mmr_lambda=0.8", NIGHTJAR_FAULT="trial:published")
    assert killed.returncode == -signal.SIGKILL
    done = tpe.run("--set", "pipeline.order.mmr_lambda=0.8")
    assert done.returncode == 0, done.stdout + done.stderr
    newest = sorted((home.path / "home/grids").glob("*/grid.json"))[-1].parent
    rows = pq.read_table(newest / "results.parquet").to_pylist()
    assert len(rows) == 5 and tpe.published("towers") == 0
    assert any(r["pareto"] for r in rows)


@pytest.mark.parametrize(
    "change, says",
    [
        ({"sweeps": {"all": {"axes": {"als.faktors": [4]}}}}, "unknown key als.faktors, did you mean factors?"),
        ({"sweeps": {"all": {"axes": {"als.factors": []}}}}, "axis all.als.factors is empty"),
        ({"search": {"objectives": ["ndgc@10"]}}, "no objective ndgc@10; there are"),
    ],
)
def test_mistakes_end_in_one_message_before_anything_runs(make_home, prefect, change, says):
    sweeps = Sweeps(make_home(prefect=prefect), {**GRID, **change})
    done = sweeps.home.ask("grid", str(sweeps.file))
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr
    assert not (sweeps.home.path / "home" / "grids").exists()


def test_no_sweep_yet_says_how_to_start_one(make_home):
    home = make_home()
    assert "nightjar grid deployments/grid.yaml" in home.ask("grid", "list").stdout
    missing = home.ask("grid", "show", "x")
    assert missing.returncode == 2 and "no such sweep" in missing.stderr
