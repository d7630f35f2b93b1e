"""Small stages with real audits and a real lake, for the laws that every stage must obey."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.datasets import DATASETS, POPULARITY
from tasks.config import ResourcesConfig
from tasks.lake import MANIFEST, Artifact, Lake, Ref, write_json
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


def make_artifact(
    root: Path,
    dataset: str,
    date: str,
    rows: list[dict[str, Any]] | pa.Table = (),
    *,
    files: dict[str, str] | None = None,
    **manifest: Any,
) -> Artifact:
    """An artifact as the lake would hold it, below `root`; `manifest` replaces entries such as notes or audit."""
    ref = Ref(dataset, date, hashlib.sha256(f"{dataset} {date}".encode()).hexdigest()[:32])
    folder = root / ref.folder
    folder.mkdir(parents=True)
    declared = DATASETS[dataset]
    if declared.is_table:
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows), schema=declared.schema)
        pq.write_table(table.cast(declared.schema), folder / "part-00000.parquet")
        manifest = {"rows": table.num_rows} | manifest
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    write_json(folder / MANIFEST, {"rows": 0, "content_digest": "d" * 64, "notes": {}, "audit": {}} | manifest)
    return Artifact(ref, folder)


@pytest.fixture(scope="session")
def artifact_of() -> Callable[..., Artifact]:
    return make_artifact
