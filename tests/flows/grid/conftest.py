"""A sweep over a made trainer and a made judge: real steps, a real lake, real audits, no night."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from expectations.datasets import TRIAL
from expectations.progress import EpochProgress
from flows.config import NightlyConfig
from flows.grid.rows import Row
from flows.grid.work import Trial
from tasks.engine.admission import Machine
from tasks.engine.code_digest import Reached
from tasks.engine.lake import Artifact, Lake
from tasks.engine.outputs import Outputs
from tasks.engine.running import Night
from tasks.engine.stage import Stage
from tasks.machine.config import ResourcesConfig

EPOCHS = 4


def towers(out: Outputs, dim: int) -> None:
    """Training that gets the better the nearer `dim` is to 40."""
    metrics = {e: round((1 - abs(dim - 40) / 100) * e / EPOCHS, 4) for e in range(1, EPOCHS + 1)}
    for epoch, metric in metrics.items():
        out.progress(epoch, EPOCHS, EpochProgress(epoch, 1.0, metric))
    epochs = [{"epoch": epoch, "metric": metric} for epoch, metric in metrics.items()]
    (out["towers"].path / "training_log.json").write_text(json.dumps({"epochs": epochs}))


def trial(out: Outputs, towers: Artifact, dim: int, k: int) -> None:
    """Figures of three users, the better the nearer `dim` is to 40, and the longer the lists."""
    values = [1 - abs(dim - 40) / 100 + k / 100 + user / 1000 for user in range(3)]
    row = {"metric": "ndcg", "k": 10, "value": values[1], "low": values[0], "high": values[2], "num_users": 3}
    out["trial"].write(pa.Table.from_pylist([{**row, "user_ids": [0, 1, 2], "by_user": values}], schema=TRIAL.schema))
    out.note(k=10)


def stage_of(function: Callable[..., None], **asks: Any) -> Stage[..., Artifact]:
    """A stage outside the house; its code digest is told instead of read."""
    stage: Stage[..., Artifact] = Stage(function, function.__name__, **asks)
    vars(stage)["reached"] = Reached({"tests": "1"})
    return stage


@pytest.fixture
def plan_of() -> Callable[[dict[str, Any]], Trial]:
    """Plans a trial of the made system, of `dim` and `k`."""
    train, judge = stage_of(towers, trains="by epoch"), stage_of(trial)

    def plan(chosen: dict[str, Any]) -> Trial:
        trained = train("2026-03-01", dim=int(chosen["dim"]))
        step = judge("2026-03-01", towers=trained.made, dim=int(chosen["dim"]), k=int(chosen.get("k", 5)))
        return Trial(Row("made", chosen, NightlyConfig()), step, (trained,))

    return plan


@pytest.fixture
def make_night(tmp_path: Path) -> Callable[[str], Night]:
    def make(name: str) -> Night:
        home = tmp_path / name
        (home / "study").mkdir(parents=True)
        return Night(Lake(str(home / "lake"), home / "scratch"), home, Machine(ResourcesConfig()))

    return make
