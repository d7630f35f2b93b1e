"""The Spark stages as edges: artifacts in, declared artifacts out, one application behind them all."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.datasets import DATASETS, IMPRESSIONS, ITEMS, SEARCHES, WATCHES, Dataset
from expectations.errors import Failure
from spark_jobs.config import AlsConfig, FeaturesConfig, InteractionsConfig, ItemSimilarityConfig, PopularityConfig
from spark_jobs.session import interpreting
from tasks.engine.lake import Artifact, Ref, read_parts
from tasks.engine.outputs import Outputs
from tasks.engine.stage import Stage
from tasks.machine.config import ResourcesConfig
from tasks.stages import spark

pytestmark = pytest.mark.slow

DAY = "2026-03-02"
SMALL = AlsConfig(factors=4, iterations=2)


def artifact(folder: Path, dataset: Dataset, columns: dict[str, Any], day: str = DAY) -> Artifact:
    """An artifact of these rows; columns that are not given are null."""
    rows = len(columns[dataset.key[0]])
    arrays = [
        pa.array(columns[f.name]).cast(f.type) if f.name in columns else pa.nulls(rows, f.type) for f in dataset.schema
    ]
    path = folder / dataset.name / day
    path.mkdir(parents=True)
    pq.write_table(pa.table(arrays, names=dataset.schema.names), path / "part-00000.parquet")
    return Artifact(Ref(dataset.name, day, "key"), path)


def watches(folder: Path, day: str, seed: int, weight: float = 1.0) -> Artifact:
    rng = np.random.default_rng(seed)
    midnight = datetime.fromisoformat(day).replace(tzinfo=UTC)
    columns = {
        "watch_id": np.arange(60) + 60 * seed,
        "request_id": np.arange(60) + 60 * seed,
        "user_id": rng.integers(0, 12, 60),
        "item_id": rng.integers(0, 9, 60),
        "time": [midnight + timedelta(seconds=int(s)) for s in rng.integers(0, 86000, 60)],
        "watch_s": rng.random(60) * 100,
        "rating": rng.integers(1, 6, 60),
        "weight": np.full(60, weight),
        "positive": rng.random(60) < 0.8,
    }
    return artifact(folder, WATCHES, columns, day)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, ...]:
    """Two days of watches."""
    folder = tmp_path_factory.mktemp("lake")
    return watches(folder, "2026-03-01", 0), watches(folder, DAY, 1)


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    columns = {"item_id": np.arange(9), "genres": [["drama", "crime"]] * 9}
    return artifact(tmp_path_factory.mktemp("lake"), ITEMS, columns)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Outputs]:
    """Call a stage's function the way the runner does."""

    def call(stage: Stage, **arguments: Any) -> Outputs:
        folder = tmp_path / f"{stage.name}-{threading.get_ident()}-{time.monotonic_ns()}"
        out = Outputs(DAY, folder, stage.produces, ResourcesConfig(), tmp_path / "home", stage.name)
        stage.function(out, **arguments)
        return out

    return call


def rows(out: Outputs, name: str) -> pa.Table:
    """What a stage wrote, in the declared schema and sorted by key; there must be nothing but Parquet parts."""
    folder, dataset = out[name].path, DATASETS[name]
    assert {f.name for f in folder.iterdir()} == {f"part-{n:05d}.parquet" for n in range(len(list(folder.iterdir())))}
    table = read_parts(sorted(folder.glob("*.parquet")), dataset.schema)
    return table.sort_by([(key, "ascending") for key in dataset.key])


@pytest.fixture(scope="module")
def pairs(days: tuple[Artifact, ...], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Interactions of the two days."""
    folder = tmp_path_factory.mktemp("pairs")
    out = Outputs(DAY, folder, spark.interactions.produces, ResourcesConfig(), folder / "home", "interactions")
    spark.interactions.function(out, watches=days, config=InteractionsConfig())
    return Artifact(Ref("interactions", DAY, "key"), out["interactions"].path)


def test_interactions_join_all_days(days: tuple[Artifact, ...], pairs: Artifact) -> None:
    liked = [w for day in days for w in day.table().to_pylist() if w["positive"]]
    table = read_parts(pairs.files, DATASETS["interactions"].schema)
    assert sum(table["num_watches"].to_pylist()) == len(liked)
    keys = {(w["user_id"], w["item_id"]) for w in liked}
    assert set(zip(*(table[name].to_pylist() for name in ("user_id", "item_id")), strict=True)) == keys


def test_decay_counts_back_from_the_stages_date(days: tuple[Artifact, ...], run: Callable[..., Outputs]) -> None:
    out = run(spark.popularity, watches=days[1:], config=PopularityConfig(half_life_days=1))
    scores, counts = (sum(rows(out, "popularity")[name].to_pylist()) for name in ("score", "num_users"))
    # All watches are of the last day: none has lost more than half.
    assert counts / 2 < scores < len(days[1].table())


def test_features_of_a_log_without_impressions(
    days: tuple[Artifact, ...], items: Artifact, run: Callable[..., Outputs]
) -> None:
    out = run(spark.features, watches=days, impressions=(), items=items, config=FeaturesConfig())
    tables = {name: rows(out, name) for name in spark.features.produces}
    assert tables["exposures"].num_rows == 0
    assert tables["user_features"]["top_genres"][0].as_py() == ["crime", "drama"]
    assert tables["histories"].num_rows == tables["user_features"].num_rows > 0


def test_features_with_searches(
    days: tuple[Artifact, ...], items: Artifact, run: Callable[..., Outputs], tmp_path: Path
) -> None:
    midnight = datetime.fromisoformat(DAY).replace(tzinfo=UTC)
    columns = {"search_id": [1, 2], "user_id": [3, 99], "time": [midnight] * 2, "query": ["a b", "c"]}
    searches = artifact(tmp_path, SEARCHES, columns | {"tokens": [["a", "b"], ["c"]]})
    out = run(spark.features, watches=days, impressions=(), searches=(searches,), items=items, config=FeaturesConfig())
    found = {r["user_id"]: r for r in rows(out, "histories").to_pylist()}
    assert {user: r["searched"] for user, r in found.items() if r["searched"]} == {3: ["a", "b"], 99: ["c"]}
    assert found[3]["seen"] and (found[99]["item_ids"], found[99]["seen"]) == ([], [])


def test_features_with_impressions(
    days: tuple[Artifact, ...], items: Artifact, run: Callable[..., Outputs], tmp_path: Path
) -> None:
    log = days[1].table(["request_id", "user_id", "item_id", "time"]).to_pydict()
    shown = artifact(tmp_path, IMPRESSIONS, log | {"position": [1] * 60, "propensity": [1.0] * 60})
    out = run(spark.features, watches=days, impressions=(shown,), items=items, config=FeaturesConfig())
    exposures = rows(out, "exposures")
    assert sum(exposures["num_shown"].to_pylist()) == 60
    assert exposures["num_watched"].to_pylist() == exposures["num_shown"].to_pylist()


def test_als_notes_its_losses(pairs: Artifact, run: Callable[..., Outputs]) -> None:
    out = run(spark.als, interactions=pairs, config=SMALL)
    assert len(out.notes["losses"]) == 2
    assert len(rows(out, "als_user_factors")["factors"][0]) == 4
    assert rows(out, "als_item_factors").num_rows == 9


def test_explicit_als_learns_from_all_ratings(
    pairs: Artifact, days: tuple[Artifact, ...], run: Callable[..., Outputs]
) -> None:
    config = AlsConfig(feedback="explicit", factors=4, iterations=2)
    out = run(spark.als, interactions=pairs, config=config, watches=days)
    implicit = run(spark.als, interactions=pairs, config=SMALL, watches=days)
    assert rows(out, "als_user_factors") != rows(implicit, "als_user_factors")
    with pytest.raises(Failure, match="als: nothing in the window has a rating"):
        run(spark.als, interactions=pairs, config=config)


def test_stages_side_by_side_write_what_they_write_alone(
    pairs: Artifact, days: tuple[Artifact, ...], run: Callable[..., Outputs]
) -> None:
    calls: dict[str, Callable[[], Outputs]] = {
        "interactions": lambda: run(spark.interactions, watches=days, config=InteractionsConfig()),
        "popularity": lambda: run(spark.popularity, watches=days, config=PopularityConfig()),
        "als_user_factors": lambda: run(spark.als, interactions=pairs, config=SMALL),
        "item_similarity": lambda: run(spark.item_similarity, interactions=pairs, config=ItemSimilarityConfig()),
    }
    alone = {name: rows(call(), name) for name, call in calls.items()}
    together: dict[str, pa.Table] = {}
    threads = [
        threading.Thread(target=lambda n=name, c=call: together.update({n: rows(c(), n)}))
        for name, call in calls.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone
    assert alone["item_similarity"].num_rows > 0


def test_interpreted_and_compiled_queries_give_the_same_rows(
    pairs: Artifact,
    days: tuple[Artifact, ...],
    items: Artifact,
    run: Callable[..., Outputs],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def everything() -> dict[str, pa.Table]:
        made = [
            run(spark.interactions, watches=days, config=InteractionsConfig()),
            run(spark.features, watches=days, impressions=(), items=items, config=FeaturesConfig()),
            run(spark.popularity, watches=days, config=PopularityConfig()),
            run(spark.als, interactions=pairs, config=SMALL),
            run(spark.item_similarity, interactions=pairs, config=ItemSimilarityConfig()),
        ]
        return {o.dataset.name: rows(out, o.dataset.name) for out in made for o in out}

    told: list[str] = []

    def tells(spark_session):
        told.append("interpreted")
        return interpreting(spark_session)

    monkeypatch.setattr("spark_jobs.session.interpreting", tells)
    interpreted = everything()
    assert len(told) == 5
    monkeypatch.setattr(spark, "INTERPRETED_BYTES", 0)
    assert everything() == interpreted and len(interpreted) == 9
    assert len(told) == 5


def test_a_weight_that_is_no_number_is_one_clear_line(run: Callable[..., Outputs], tmp_path: Path) -> None:
    bad = watches(tmp_path, DAY, 0, weight=float("nan"))
    with pytest.raises(Failure, match=r"^interactions: Spark failed: .*watches.weight is NaN.*spark.log\)$") as caught:
        run(spark.interactions, watches=(bad,), config=InteractionsConfig())
    assert "\n" not in str(caught.value)


def test_a_damaged_file_is_one_clear_line(run: Callable[..., Outputs], tmp_path: Path) -> None:
    broken = watches(tmp_path, DAY, 0)
    broken.files[0].write_bytes(b"no parquet")
    with pytest.raises(Failure, match=r"^popularity: Spark failed: .*part-00000.parquet"):
        run(spark.popularity, watches=(broken,), config=PopularityConfig())


# In a process of its own, because a process has one application.
LIFE = """
import json, sys, time
from pathlib import Path
from tasks.stages import spark
from tasks.machine.config import ResourcesConfig

home = Path(sys.argv[1])
spark.stop()
thread = spark.start_in_background(ResourcesConfig(memory_gib=4), home)
session = spark.session(ResourcesConfig(memory_gib=4), home)
thread.join()
same = session is spark.session(ResourcesConfig(), home)
jvm = session.sparkContext._gateway.proc.pid
print(json.dumps([same, session.conf.get("spark.driver.memory"), jvm]), flush=True)
time.sleep(300)
"""


def test_one_application_that_dies_with_its_owner(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIFE, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        same, heap, jvm = json.loads(owner.stdout.readline())
        assert same and heap == f"{int(4 * spark.MEMORY_SHARE * 1024)}m"
        assert psutil.pid_exists(jvm)
        os.kill(owner.pid, signal.SIGKILL)
    deadline = time.monotonic() + 90
    while psutil.pid_exists(jvm) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.pid_exists(jvm)


def test_a_start_that_fails_in_the_background_is_told_to_who_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_java(*arguments: object) -> None:
        raise Failure("Spark did not start")

    monkeypatch.setattr("spark_jobs.session.spark_session", no_java)
    spark.start_in_background(ResourcesConfig(), tmp_path).join()
    assert capsys.readouterr().err == ""
    with pytest.raises(Failure, match="Spark did not start"):
        spark.session(ResourcesConfig(), tmp_path)
