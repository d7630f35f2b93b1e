"""Every job as a program: under spark-submit, and on a real standalone cluster, with the same results."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyspark
import pytest
from pyspark.sql import DataFrame, SparkSession

from expectations.datasets import ALS_ITEM_FACTORS, ALS_USER_FACTORS, DATASETS, ITEM_SIMILARITY, Dataset
from expectations.errors import UserError
from spark_jobs import als, features, interactions, item_similarity, popularity
from spark_jobs.class_archive import archive_options
from spark_jobs.config import AlsConfig, ItemSimilarityConfig
from spark_jobs.java import find_java

pytestmark = pytest.mark.slow

Rows = Callable[[DataFrame, Dataset], pa.Table]
SPARK_HOME = Path(pyspark.__file__).parent
JOBS = Path(als.__file__).parent
ALS = {"factors": 5, "iterations": 2}
SIMILARITY = {"half_life_days": 2.0, "top_k": 6}
QUICK_JAVA = " ".join(("-XX:-UsePerfData", "-XX:TieredStopAtLevel=1", *archive_options(find_java())))


def stored(folder: Path, dataset: Dataset) -> pa.Table:
    rows = pq.read_table(folder).select(dataset.schema.names).cast(dataset.schema)
    return rows.sort_by([(name, "ascending") for name in dataset.key])


@pytest.fixture(scope="module")
def expected(spark: SparkSession, pairs_path: Path, as_of: str, rows_of: Rows) -> dict[str, pa.Table]:
    """What `local[2]` makes of the pairs."""
    pairs = spark.read.parquet(str(pairs_path))
    users, items = als.als(pairs, AlsConfig(**ALS))  # type: ignore[arg-type]
    neighbours = item_similarity.item_similarity(pairs, as_of, ItemSimilarityConfig(**SIMILARITY))  # type: ignore[arg-type]
    return {
        "als_user_factors": rows_of(users, ALS_USER_FACTORS),
        "als_item_factors": rows_of(items, ALS_ITEM_FACTORS),
        "item_similarity": rows_of(neighbours, ITEM_SIMILARITY),
    }


def test_spark_submit_on_one_core_gives_the_same(
    expected: dict[str, pa.Table], pairs_path: Path, as_of: str, tmp_path: Path
) -> None:
    command = [
        SPARK_HOME / "bin" / "spark-submit", "--master", "local[1]", "--driver-memory", "1g",
        "--conf", "spark.ui.enabled=false", "--conf", "spark.driver.bindAddress=127.0.0.1",
        "--driver-java-options", QUICK_JAVA,
        JOBS / "als.py", "--interactions", pairs_path, "--as-of", as_of, "--output", tmp_path,
        "--config", json.dumps(ALS),
    ]  # fmt: skip
    environment = os.environ | {"PYSPARK_PYTHON": sys.executable, "JAVA_HOME": str(find_java().home)}
    done = subprocess.run(
        [*map(str, command)], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for dataset in (ALS_USER_FACTORS, ALS_ITEM_FACTORS):
        assert stored(tmp_path / dataset.name, dataset) == expected[dataset.name]


# A driver of its own, as the night has one: same code, another master.
DRIVER = """
import json, sys
from pathlib import Path
from expectations.datasets import INTERACTIONS
from spark_jobs.als import als
from spark_jobs.config import AlsConfig, ItemSimilarityConfig
from spark_jobs.frames import read
from spark_jobs.item_similarity import item_similarity
from spark_jobs.session import spark_session, stop_session

master, home, path, as_of, output, als_config, similarity_config = sys.argv[1:]
spark = spark_session(master, 1, 2, Path(home), "cluster test")
pairs = read(spark, INTERACTIONS, [path])
users, items = als(pairs, AlsConfig(**json.loads(als_config)))
neighbours = item_similarity(pairs, as_of, ItemSimilarityConfig(**json.loads(similarity_config)))
for name, frame in {"als_user_factors": users, "als_item_factors": items, "item_similarity": neighbours}.items():
    frame.write.parquet(f"{output}/{name}")
def where(_):
    import os, time
    time.sleep(0.5)
    return os.environ["SPARK_EXECUTOR_DIRS"]
executors = set(spark.sparkContext.parallelize(range(4), 4).map(where).collect())
stop_session()
print(len(executors))
"""


@pytest.fixture
def cluster(tmp_path: Path, process_list: list[Any]) -> str:
    """URL of a standalone master on loopback that has two workers of one core each."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url, java = f"spark://127.0.0.1:{port}", find_java()
    environment = os.environ | {
        "JAVA_HOME": str(java.home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_PUBLIC_DNS": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(tmp_path / "local"),
        "SPARK_DAEMON_JAVA_OPTS": QUICK_JAVA,
    }

    def start(name: str, *arguments: str) -> Path:
        log = tmp_path / f"{name}.log"
        command = [SPARK_HOME / "bin" / "spark-class", *arguments]
        with log.open("wb") as out:
            process_list.append(subprocess.Popen([*map(str, command)], env=environment, stdout=out, stderr=out))
        return log

    deploy = "org.apache.spark.deploy"
    start("master", f"{deploy}.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0")
    logs = [
        start(
            f"worker-{n}", f"{deploy}.worker.Worker", "--host", "127.0.0.1", "--webui-port", "0", "--cores", "1",
            "--memory", "1g", "--work-dir", str(tmp_path / f"work-{n}"), url,
        )
        for n in (1, 2)
    ]  # fmt: skip
    deadline = time.monotonic() + 120
    while not all("Successfully registered with master" in log.read_text() for log in logs):
        assert time.monotonic() < deadline, "\n".join(log.read_text()[-1000:] for log in logs)
        time.sleep(0.2)
    return url


def test_a_standalone_cluster_gives_the_same(
    cluster: str, expected: dict[str, pa.Table], pairs_path: Path, as_of: str, tmp_path: Path
) -> None:
    arguments = [cluster, tmp_path / "home", pairs_path, as_of, tmp_path, json.dumps(ALS), json.dumps(SIMILARITY)]
    command = [sys.executable, "-c", DRIVER, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "2", "both workers must have worked"
    for name, rows in expected.items():
        assert stored(tmp_path / name, DATASETS[name]) == rows


@pytest.fixture(scope="module")
def log_folder(log: dict[str, pa.Table], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    for name, rows in log.items():
        (folder / name).mkdir()
        pq.write_table(rows, folder / name / "part-00000.parquet")
    return folder


@pytest.mark.parametrize(
    ("main", "inputs", "datasets"),
    [
        (interactions.main, ["watches"], ["interactions"]),
        (popularity.main, ["watches"], ["popularity"]),
        (features.main, ["watches", "items"], ["user_features", "item_features", "histories", "exposures"]),
        (features.main, ["watches", "items", "impressions"], ["exposures"]),
        (item_similarity.main, ["interactions"], ["item_similarity"]),
        (als.main, ["interactions"], ["als_user_factors", "als_item_factors"]),
    ],
)
def test_mains_write_declared_datasets(
    spark: SparkSession,
    log_folder: Path,
    pairs_path: Path,
    as_of: str,
    tmp_path: Path,
    main: Callable[[list[str]], None],
    inputs: list[str],
    datasets: list[str],
) -> None:
    paths = {name: log_folder / name for name in inputs} | {"interactions": pairs_path}
    given = [text for name in inputs for text in (f"--{name}", str(paths[name]))]
    main([*given, "--as-of", as_of, "--output", str(tmp_path)])
    for name in datasets:
        rows = stored(tmp_path / name, DATASETS[name])
        assert rows.num_rows > 0 or (name == "exposures" and "impressions" not in inputs)


def test_explicit_als_reads_the_ratings_of_watches(
    spark: SparkSession, log_folder: Path, log: dict[str, pa.Table], as_of: str, tmp_path: Path
) -> None:
    explicit = '{"feedback": "explicit", "factors": 3}'
    given = ["--watches", str(log_folder / "watches"), "--as-of", as_of, "--output", str(tmp_path)]
    als.main([*given, "--config", explicit])
    users = stored(tmp_path / "als_user_factors", ALS_USER_FACTORS)
    rated = log["watches"].to_pandas().dropna(subset=["rating"])
    assert set(users["user_id"].to_pylist()) == set(rated["user_id"])


@pytest.mark.parametrize("text", ["{", '{"half_life": 3}', '{"half_life_days": -1}'])
def test_a_bad_config_is_the_users_mistake(text: str) -> None:
    arguments = ["--watches", "x", "--as-of", "2026-01-01", "--output", "y", "--config", text]
    with pytest.raises(UserError, match="popularity: --config"):
        popularity.JOB.program(arguments)
