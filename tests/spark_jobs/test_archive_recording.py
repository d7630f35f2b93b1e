"""The rehearsal that records the class archive runs every job there is."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_jobs.archive_recording import jobs, rehearse
from tasks.stages import spark as stages


def _spark_stages() -> dict[str, tuple[str, ...]]:
    """What each stage that runs in Spark produces, by its name."""
    found = [value for value in vars(stages).values() if "pyspark" in getattr(value, "libraries", ())]
    return {one.name: tuple(one.produces) for one in found}


def test_every_stage_in_spark_has_a_job() -> None:
    assert set(jobs()) == set(_spark_stages()) != set()


@pytest.mark.slow
def test_the_rehearsal_makes_what_every_job_makes(spark: SparkSession, tmp_path: Path) -> None:
    rehearse(tmp_path)
    for name, datasets in _spark_stages().items():
        for dataset in datasets:
            assert spark.read.parquet(str(tmp_path / "out" / name / dataset)).count(), dataset
