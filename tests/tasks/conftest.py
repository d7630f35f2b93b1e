"""Small stages with real audits and a real lake, for the laws that every stage must obey."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from expectations.datasets import POPULARITY
from tasks.config import ResourcesConfig
from tasks.lake import Artifact, Lake
from tasks.outputs import Outputs
from tasks.running import Night
from tasks.stage import Stage

CALLS: list[str] = []


def counting(out: Outputs, scale: int = 1, rows: int = 3) -> None:
    """Popularity of three items; `scale` decides the scores, `rows=-1` breaks an expectation."""
    CALLS.append(f"counting {out.date}")
    ids = list(range(abs(rows)))
    table = pa.table(
        {
            "item_id": pa.array(ids, pa.int32()),
            "score": pa.array([float(scale * (9 - i)) for i in ids], pa.float32()),
            "num_users": pa.array([1] * len(ids), pa.int32()),
            "rank": pa.array([1 if rows < 0 else i + 1 for i in ids], pa.int32()),
        },
        schema=POPULARITY.schema,
    )
    out["popularity"].write(table.take(list(reversed(ids))))
    out.note(scale=scale)


def copying(out: Outputs, popularity: Artifact, days: tuple[Artifact, ...] = ()) -> None:
    """A folder of files made from its inputs."""
    CALLS.append(f"copying {out.date}")
    total = sum(float(sum(a.table()["score"].to_pylist())) for a in (popularity, *days))
    (out["index"].path / "total.txt").write_text(str(total))


def make_stage(function: Callable[..., None], *produces: str, code: str = "1", **asks: Any) -> Stage:
    """A stage outside the house; its code digest is told instead of read."""
    stage = Stage(function, produces, **asks)
    vars(stage)["code"] = {"tests/conftest.py": code}
    return stage


@pytest.fixture
def calls() -> list[str]:
    CALLS.clear()
    return CALLS


@pytest.fixture
def night(tmp_path: Path) -> Night:
    home = tmp_path / "home"
    lake = Lake(str(home / "lake"), home / "scratch")
    return Night(lake, home, ResourcesConfig())


@pytest.fixture
def stages() -> tuple[Stage, Stage]:
    return make_stage(counting, "popularity"), make_stage(copying, "index")


@pytest.fixture
def stage_of() -> Callable[..., Stage]:
    return make_stage


@pytest.fixture
def count() -> Callable[..., None]:
    return counting
