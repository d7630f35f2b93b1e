"""What a stage function is given to write with: one `Outputs` a call, one `Output` a dataset."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from expectations.datasets import DATASETS, Dataset
from expectations.errors import Failure
from expectations.progress import OnProgress
from tasks.engine import fault_points
from tasks.machine.config import ResourcesConfig

Part = Callable[[str, Callable[[], Any]], Any]
"""Called with the name of a part of the work and what does it; gives what that gives."""

ROWS_PER_GROUP = 1_000_000


def plainly(name: str, work: Callable[[], Any]) -> Any:
    """A part that nobody looks at."""
    return work()


@dataclass
class Output:
    """The folder of one dataset that a call is writing."""

    dataset: Dataset
    path: Path
    parts: int = 0

    def write(self, rows: pa.Table | Iterable[pa.RecordBatch]) -> None:
        """Write rows as the next Parquet part, cast to the declared schema.

        Raises:
            Failure: a column is missing, or has values that its declared type cannot hold.
        """
        batches = rows.to_batches() if isinstance(rows, pa.Table) else rows
        self.path.mkdir(parents=True, exist_ok=True)
        target = self.path / f"part-{self.parts:05d}.parquet"
        with pq.ParquetWriter(target, self.dataset.schema, compression="zstd") as writer:
            for batch in batches:
                table = conform(pa.Table.from_batches([batch]), self.dataset)
                writer.write_table(table, row_group_size=ROWS_PER_GROUP)
        self.parts += 1

    def written_by_spark(self) -> None:
        """Tidy a folder that Spark wrote: its names differ from run to run, and markers are not data."""
        for path in [*self.path.glob("_*"), *self.path.glob(".*")]:
            path.unlink()
        for number, path in enumerate(sorted(self.path.glob("part-*.parquet"))):
            path.rename(self.path / f"part-{number:05d}.parquet")


def conform(table: pa.Table, dataset: Dataset) -> pa.Table:
    """The table with exactly the declared columns, in order and type."""
    missing = [c.name for c in dataset.columns if c.name not in table.column_names]
    if missing:
        raise Failure(f"{dataset.name}: columns {missing} are missing; there are {table.column_names}")
    try:
        return table.select(dataset.schema.names).cast(dataset.schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise Failure(f"{dataset.name}: does not fit its declared schema: {error}") from error


@dataclass
class Outputs:
    """What one call of a stage function may write, tell and use."""

    date: str
    folder: Path
    datasets: tuple[str, ...]
    resources: ResourcesConfig
    home: Path
    stage: str = ""
    report: OnProgress = field(default=lambda done, total, what: None)
    around: Part = plainly
    notes: dict[str, Any] = field(default_factory=dict)
    measures: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._outputs = {name: Output(DATASETS[name], self.folder / name) for name in self.datasets}
        for output in self._outputs.values():
            output.path.mkdir(parents=True, exist_ok=True)

    def __getitem__(self, dataset: str) -> Output:
        return self._outputs[dataset]

    def __iter__(self) -> Iterator[Output]:
        return iter(self._outputs.values())

    def note(self, **facts: Any) -> None:
        """Keep small facts that follow from the inputs alone; they go into the manifest."""
        self.notes.update(json.loads(json.dumps(facts)))

    def measure(self, **figures: Any) -> None:
        """Keep figures that differ from run to run, such as latencies; they go into run.json."""
        self.measures.update(json.loads(json.dumps(figures)))

    def progress(self, done: int, total: int, what: str = "") -> None:
        """Tell how far the work has come."""
        fault_points.point(f"{self.stage}:progress")
        self.report(done, total, what)

    def part(self, name: str, work: Callable[[], Any]) -> Any:
        """Do a part of the work that people want to see by itself, such as `shard 3 of 8`; may be called in threads.

        A thread that does parts runs them in a copy of the context of the one that started it.
        """
        return self.around(f"{self.stage} {name}", work)
