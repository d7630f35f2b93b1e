"""Records the class archive and the kernels (see `class_archive`): every job runs once on a tiny log."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from expectations.datasets import ACTIONS, IMPRESSIONS, ITEMS, SEARCHES, WATCHES, Dataset
from expectations.prepared import prepared
from spark_jobs.als import als
from spark_jobs.class_archive import archive_path
from spark_jobs.config import (
    AlsConfig,
    FeaturesConfig,
    InteractionsConfig,
    ItemSimilarityConfig,
    PopularityConfig,
    SentencesConfig,
)
from spark_jobs.features import features
from spark_jobs.frames import end_of, read
from spark_jobs.interactions import interactions
from spark_jobs.item_similarity import item_similarity
from spark_jobs.java import find_java
from spark_jobs.popularity import popularity
from spark_jobs.sentences import sentences
from spark_jobs.session import spark_session, stop_session

DAY = "2026-01-31"
ROWS = 2_000


def make_archive() -> Path:
    """Run every job once, in a JVM that writes down which classes it loaded."""
    path = archive_path(find_java())
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(prepared("kernels"), ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        options = (f"-XX:ArchiveClassesAtExit={path}", "-Xlog:disable", "-Xlog:all=error:stderr")
        spark = spark_session("local[2]", 1, 2, Path(folder), "class archive", options)
        _run_all(spark, Path(folder))
        stop_session()
        shutil.copytree(Path(folder) / "cache" / "numba", prepared("kernels"))
    return path


def _run_all(spark: SparkSession, folder: Path) -> None:
    """Run all jobs from Parquet to Parquet."""
    watches = read(spark, WATCHES, [_file(folder, WATCHES, _log())])
    impressions = read(spark, IMPRESSIONS, [_file(folder, IMPRESSIONS, _log() | {"propensity": np.ones(ROWS)})])
    words = {"search_id": np.arange(ROWS), "query": ["drama"] * ROWS, "tokens": [["drama"]] * ROWS}
    searches = read(spark, SEARCHES, [_file(folder, SEARCHES, _log() | words)])
    items = read(spark, ITEMS, [_file(folder, ITEMS, {"item_id": np.arange(50), "genres": [["drama"]] * 50})])
    actions = read(
        spark, ACTIONS, [_file(folder, ACTIONS, _log() | {"action_id": np.arange(ROWS), "action": ["like"] * ROWS})]
    )
    pairs = _written(interactions(watches, DAY, InteractionsConfig()), folder / "pairs")
    users, factors = als(pairs, AlsConfig(factors=4, iterations=1))
    results = [
        *vars(features(watches, impressions, searches, items, DAY, FeaturesConfig())).values(),
        popularity(watches, DAY, PopularityConfig()),
        item_similarity(pairs, DAY, ItemSimilarityConfig()),
        sentences(watches, actions, searches, DAY, SentencesConfig()),
        users,
        factors,
    ]
    for number, frame in enumerate(results):
        _written(frame, folder / f"result-{number}")


def _log() -> dict[str, object]:
    rng = np.random.default_rng(0)
    return {
        "watch_id": np.arange(ROWS),
        "request_id": np.arange(ROWS),
        "position": np.ones(ROWS),
        "user_id": rng.integers(0, 100, ROWS),
        "item_id": rng.integers(0, 50, ROWS),
        "time": (int(end_of(DAY).timestamp()) - rng.integers(1, 10**6, ROWS)) * 1_000_000,
        "weight": np.ones(ROWS),
        "positive": np.ones(ROWS, bool),
    }


def _file(folder: Path, dataset: Dataset, columns: dict[str, object]) -> Path:
    """A Parquet file of the dataset; columns that are not given are null."""
    rows = len(columns["item_id"])  # type: ignore[arg-type]
    arrays = [
        pa.array(columns[f.name]).cast(f.type) if f.name in columns else pa.nulls(rows, f.type) for f in dataset.schema
    ]
    path = folder / f"{dataset.name}.parquet"
    pq.write_table(pa.table(arrays, names=dataset.schema.names), path)
    return path


def _written(frame: DataFrame, path: Path) -> DataFrame:
    frame.write.mode("overwrite").parquet(str(path))
    return frame.sparkSession.read.parquet(str(path))
