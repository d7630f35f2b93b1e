"""What the jobs share when they run by themselves under spark-submit: arguments, inputs, outputs.

    spark-submit spark_jobs/popularity.py --watches DIR ... --as-of 2026-03-01 --output OUT \\
        --config '{"half_life_days": 7}'

Every output dataset becomes a folder of Parquet below OUT.
"""

import argparse
import json
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pyspark.sql import DataFrame, SparkSession

from expectations.datasets import DATASETS
from expectations.errors import UserError
from spark_jobs.frames import read
from spark_jobs.session import submitted_session

Config = TypeVar("Config")


@dataclass(frozen=True)
class Program(Generic[Config]):
    """One run of a job from the command line."""

    spark: SparkSession
    config: Config
    as_of: str
    inputs: dict[str, list[str]]
    output: str

    def read(self, dataset: str) -> DataFrame:
        """Extract: the files or folders given for a dataset."""
        return read(self.spark, DATASETS[dataset], self.inputs[dataset])

    def write(self, **frames: DataFrame) -> None:
        """Load: one folder a dataset."""
        for dataset, frame in frames.items():
            frame.write.mode("overwrite").parquet(f"{self.output}/{dataset}")


@dataclass(frozen=True)
class Job(Generic[Config]):
    """What a job is, declared as `JOB` in its module: its name, its settings, the datasets that it reads.

    Attributes:
        optional: datasets that it reads where there are any.
    """

    name: str
    config: type[Config]
    inputs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        return (*self.inputs, *self.optional)

    def program(self, argv: list[str] | None = None) -> Program[Config]:
        """Parse the arguments of a run.

        Raises:
            UserError: the config is no JSON or has an unknown key or an impossible value.
        """
        parser = argparse.ArgumentParser(prog=self.name)
        for dataset in self.reads:
            parser.add_argument(
                f"--{dataset}", nargs="+", default=[], required=dataset in self.inputs, metavar="PATH",
                help=f"Parquet files or folders of {dataset}",
            )  # fmt: skip
        parser.add_argument("--as-of", required=True, metavar="DATE", help="last day of the window, such as 2026-03-01")
        parser.add_argument("--output", required=True, metavar="DIR", help="folder for the datasets that come out")
        parser.add_argument("--config", default="{}", metavar="JSON", help="settings that differ from their defaults")
        given = parser.parse_args(argv)
        paths = {dataset: getattr(given, dataset) for dataset in self.reads}
        settings = _settings(self.name, self.config, given.config)
        return Program(submitted_session(f"nightjar {self.name}"), settings, given.as_of, paths, given.output)


def _settings(name: str, config: type[Config], text: str) -> Config:
    try:
        values: Any = json.loads(text)
        return TypeAdapter(config).validate_python(values)
    except (json.JSONDecodeError, ValidationError) as error:
        raise UserError(f"{name}: --config {text!r} is not a valid {config.__name__}: {error}") from error
