"""Records the class archive and the kernels (see `class_archive`): every job runs once on a tiny log."""

import shutil
import tempfile
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import spark_jobs
from expectations.datasets import DATASETS, Dataset
from expectations.prepared import prepared
from spark_jobs.class_archive import archive_path
from spark_jobs.frames import end_of
from spark_jobs.java import find_java
from spark_jobs.session import spark_session, stop_session

DAY = "2026-01-31"
ROWS = 2_000
ITEMS_MET = 50


def make_archive() -> Path:
    """Run every job once, in a JVM that writes down which classes it loaded."""
    path = archive_path(find_java())
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(prepared("kernels"), ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        options = (f"-XX:ArchiveClassesAtExit={path}", "-Xlog:disable", "-Xlog:all=error:stderr")
        spark_session("local[2]", 1, 2, Path(folder), "class archive", options)
        rehearse(Path(folder))
        stop_session()
        shutil.copytree(Path(folder) / "cache" / "numba", prepared("kernels"))
    return path


def jobs() -> dict[str, ModuleType]:
    """The module of every job, by name: those that declare one."""
    modules = [import_module(f"spark_jobs.{found.name}") for found in iter_modules(spark_jobs.__path__)]
    return {module.JOB.name: module for module in modules if hasattr(module, "JOB")}


def rehearse(folder: Path) -> None:
    """Run every job as a program in the session that runs, from Parquet to Parquet, on whatever datasets it reads."""
    for name, module in jobs().items():
        inputs = [word for read in module.JOB.reads for word in (f"--{read}", str(_file(folder, DATASETS[read])))]
        module.main([*inputs, "--as-of", DAY, "--output", str(folder / "out" / name)])


def _columns() -> dict[str, Any]:
    """A column of any dataset that a job needs values of; users meet each item once."""
    number = np.arange(ROWS)
    time = (int(end_of(DAY).timestamp()) - np.random.default_rng(0).integers(1, 10**6, ROWS)) * 1_000_000
    return {
        "watch_id": number, "request_id": number, "search_id": number, "action_id": number,
        "user_id": number // ITEMS_MET, "item_id": number % ITEMS_MET, "position": np.ones(ROWS),
        "time": time, "last_time": time, "num_watches": np.ones(ROWS),
        "propensity": np.ones(ROWS), "weight": np.ones(ROWS), "positive": np.ones(ROWS, bool),
        "action": ["like"] * ROWS, "query": ["drama"] * ROWS, "tokens": [["drama"]] * ROWS,
        "genres": [["drama"]] * ROWS,
    }  # fmt: skip


def _file(folder: Path, dataset: Dataset) -> Path:
    """A Parquet file of the dataset; of columns that no job needs, all values are null."""
    columns, rows = _columns(), ITEMS_MET if dataset.key == ("item_id",) else ROWS
    arrays = [
        pa.array(columns[f.name][:rows]).cast(f.type) if f.name in columns else pa.nulls(rows, f.type)
        for f in dataset.schema
    ]
    path = folder / f"{dataset.name}.parquet"
    pq.write_table(pa.table(arrays, names=dataset.schema.names), path)
    return path
