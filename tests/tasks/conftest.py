"""Small stages with real audits and a real lake, for the laws that every stage must obey."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.datasets import DATASETS, POPULARITY
from expectations.files import write_json
from tasks.engine.admission import Machine
from tasks.engine.code_digest import Reached
from tasks.engine.lake import MANIFEST, Artifact, Lake, Ref
from tasks.engine.outputs import Outputs
from tasks.engine.running import Night
from tasks.engine.stage import Stage
from tasks.machine.config import ResourcesConfig
from tasks.stages.groups import Known

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


def make_stage(function: Callable[..., None], produces: Any, code: str = "1", **asks: Any) -> Stage[..., Any]:
    """A stage outside the house; its code digest is told instead of read."""
    stage: Stage[..., Any] = Stage(function, produces, **asks)
    vars(stage)["reached"] = Reached({"tests/conftest.py": code})
    return stage


@pytest.fixture
def calls() -> list[str]:
    CALLS.clear()
    return CALLS


@pytest.fixture
def night(tmp_path: Path) -> Night:
    home = tmp_path / "home"
    lake = Lake(str(home / "lake"), home / "scratch")
    return Night(lake, home, Machine(ResourcesConfig()))


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
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    write_json(folder / MANIFEST, {"rows": 0, "content_digest": "d" * 64, "notes": {}, "audit": {}} | manifest)
    return Artifact(ref, folder)


@pytest.fixture(scope="session")
def artifact_of() -> Callable[..., Artifact]:
    return make_artifact


@pytest.fixture(scope="session")
def small_log(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Four days of 40 users who watch the items of their own parity, as artifacts: what the `towers` stage reads,
    and the histories that a features stage would make of them."""
    root, rng = tmp_path_factory.mktemp("small-log"), np.random.default_rng(0)
    days = [f"2026-03-0{day}" for day in range(1, 5)]
    watches: list[Artifact] = []
    histories: dict[int, list[int]] = {user: [] for user in range(40)}
    for number, day in enumerate(days):
        user = np.repeat(np.arange(40), 6)
        item = 2 * rng.integers(0, 30, len(user)) + user % 2
        seconds = np.datetime64(day, "s").astype(np.int64) + np.sort(rng.integers(0, 86_400, len(user)))
        for u, i in zip(user.tolist(), item.tolist(), strict=True):
            histories[u].append(i)
        columns: dict[str, Any] = {"watch_id": number * 1000 + np.arange(len(user)), "user_id": user, "item_id": item}
        columns |= {"time": seconds * 1_000_000, "weight": np.ones(len(user)), "positive": np.ones(len(user), bool)}
        watches.append(make_artifact(root, "watches", day, _filled("watches", columns)))
    lists = list(histories.values())
    empty = {"times": [[0] * 24] * 40, "watch_shares": [[1.0] * 24] * 40, "seen": [sorted(set(h)) for h in lists]}
    users = {"user_id": np.arange(42), "region": ["odd" if u % 2 else "even" for u in range(42)]}
    items = {"item_id": np.arange(60), "genres": [["odd" if i % 2 else "even"] for i in range(60)]}
    outside = [f"{kind} {n}" for kind, count in (("user", 42), ("item", 60)) for n in range(count)]
    ids = {"kind": [name.split()[0] for name in outside], "id": [*range(42), *range(60)], "external_id": outside}
    known = Known(
        make_artifact(root, "users", days[-1], _filled("users", users)),
        make_artifact(root, "items", days[-1], _filled("items", items)),
        make_artifact(root, "id_map", days[-1], _filled("id_map", ids)),
    )
    return {
        "watches": tuple(watches),
        "known": known,
        "histories": make_artifact(
            root, "histories", days[-1], _filled("histories", {"user_id": np.arange(40), "item_ids": lists, **empty})
        ),
    }


def _filled(dataset: str, columns: dict[str, Any]) -> pa.Table:
    """A table of a dataset; columns that are not given are null."""
    schema = DATASETS[dataset].schema
    rows = len(next(iter(columns.values())))
    return pa.table(
        [_column(columns[f.name], f.type) if f.name in columns else pa.nulls(rows, f.type) for f in schema],
        names=schema.names,
    )


def _column(values: Any, type_: pa.DataType) -> pa.Array:
    return pa.array(values, pa.int64()).cast(type_) if pa.types.is_timestamp(type_) else pa.array(values).cast(type_)


@pytest.fixture
def run_stage(tmp_path: Path) -> Callable[..., tuple[Outputs, dict[str, Artifact]]]:
    """Call a stage's function; gives its outputs and, as the lake would, the artifacts it made."""

    def run(stage: Stage, date: str, **arguments: Any) -> tuple[Outputs, dict[str, Artifact]]:
        folder = tmp_path / f"{stage.name}-{len(list(tmp_path.iterdir()))}"
        told: list[tuple[int, int, str]] = []
        out = Outputs(date, folder, stage.produces, ResourcesConfig(device="cpu"), tmp_path, stage.name)
        out.report = lambda *what: told.append(what)
        stage.function(out, **arguments)
        for output in out:
            write_json(output.path / MANIFEST, {"notes": out.notes, "rows": 0})
        assert told and sorted(p.name for p in folder.iterdir()) == sorted(stage.produces)
        return out, {name: Artifact(Ref(name, date, "k"), out[name].path) for name in stage.produces}

    return run
