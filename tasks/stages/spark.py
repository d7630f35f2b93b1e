"""The stages that run in Spark, and the one Spark application that serves them all night."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from expectations.datasets import DATASETS
from expectations.errors import Failure
from spark_jobs.config import (
    AlsConfig,
    FeaturesConfig,
    InteractionsConfig,
    ItemSimilarityConfig,
    PopularityConfig,
    SentencesConfig,
)
from tasks.engine.lake import Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import stage
from tasks.machine.config import ResourcesConfig
from tasks.stages.groups import Factors, Facts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MEMORY_SHARE = 0.35
"""Of the night's memory, what the JVM's heap may grow to; its Python workers and the other stages need the rest."""

INTERPRETED_BYTES = 8 * 2**20
"""Of Parquet: below it, compiling a stage's queries takes the JVM longer than running them uncompiled does."""

_LOCK = threading.Lock()


def session(resources: ResourcesConfig, home: Path) -> "SparkSession":
    """The night's Spark application, which the first caller starts and the others wait for.

    Raises:
        UserError: there is no Java that is new enough.
        Failure: Spark did not start.
    """
    from spark_jobs.session import spark_session

    memory_gib = max(1.0, resources.memory_gib * MEMORY_SHARE)
    with _LOCK:
        return spark_session(resources.spark_master, memory_gib, resources.threads, home, "nightjar")


def start_in_background(resources: ResourcesConfig, home: Path) -> threading.Thread:
    """Start it while something else goes on. A failure shows when a stage asks for the session."""

    def start() -> None:
        with suppress(Exception):
            session(resources, home)

    thread = threading.Thread(target=start, name="spark-start", daemon=True)
    thread.start()
    return thread


def stop() -> None:
    """End the application, if there is one, and wait until its JVM is gone."""
    from spark_jobs.session import stop_session

    with _LOCK:
        stop_session()


@stage(produces="interactions", libraries=("pyspark",))
def interactions(out: Outputs, watches: tuple[Artifact, ...], config: InteractionsConfig) -> None:
    """The window's positives by user and item."""
    from spark_jobs.interactions import interactions

    with explained(out.stage):
        read = _reader(out, *watches)
        _write(out, interactions=interactions(read("watches", *watches), out.date, config))


@stage(produces=Facts, libraries=("pyspark",))
def features(
    out: Outputs,
    watches: tuple[Artifact, ...],
    impressions: tuple[Artifact, ...],
    items: Artifact,
    config: FeaturesConfig,
    searches: tuple[Artifact, ...] = (),
) -> None:
    """What the log says of users and items as of the day; a real log may have no impressions and no searches."""
    from spark_jobs.features import features

    with explained(out.stage):
        read = _reader(out, *watches, *impressions, *searches, items)
        watched, shown = read("watches", *watches), read("impressions", *impressions)
        typed, known = read("searches", *searches), read("items", items)
        _write(out, **vars(features(watched, shown, typed, known, out.date, config)))


@stage(produces="sentences", libraries=("pyspark",))
def sentences(
    out: Outputs,
    watches: tuple[Artifact, ...],
    actions: tuple[Artifact, ...],
    searches: tuple[Artifact, ...],
    config: SentencesConfig,
) -> None:
    """What every user did, in one sequence; a real log may have neither actions nor searches."""
    from spark_jobs.sentences import sentences

    with explained(out.stage):
        read = _reader(out, *watches, *actions, *searches)
        log = read("watches", *watches), read("actions", *actions), read("searches", *searches)
        _write(out, sentences=sentences(*log, out.date, config))


@stage(produces="popularity", libraries=("pyspark",))
def popularity(out: Outputs, watches: tuple[Artifact, ...], config: PopularityConfig) -> None:
    """Items by decayed number of positives."""
    from spark_jobs.popularity import popularity

    with explained(out.stage):
        read = _reader(out, *watches)
        _write(out, popularity=popularity(read("watches", *watches), out.date, config))


@stage(produces=Factors, libraries=("pyspark", "numba"), threads=2, trains="at once")
def als(out: Outputs, interactions: Artifact, config: AlsConfig, watches: tuple[Artifact, ...] = ()) -> None:
    """Matrix factorisation of the window's positives, or, for explicit feedback, of the ratings in `watches`."""
    from spark_jobs.als import factorise
    from spark_jobs.interactions import ratings

    with explained(out.stage):
        if config.feedback == "explicit":
            entries = ratings(_reader(out, *watches)("watches", *watches), out.date)
        else:
            entries = _reader(out, interactions)("interactions", interactions)
        made = factorise(entries, config, out.progress)
    out["als_user_factors"].write(made.users)
    out["als_item_factors"].write(made.items)
    out.note(losses=made.losses)


@stage(produces="item_similarity", libraries=("pyspark", "numba"), threads=2)
def item_similarity(out: Outputs, interactions: Artifact, config: ItemSimilarityConfig) -> None:
    """Nearest items by who watched them."""
    from spark_jobs.item_similarity import item_similarity

    with explained(out.stage):
        pairs = _reader(out, interactions)("interactions", interactions)
        _write(out, item_similarity=item_similarity(pairs, out.date, config))


def _reader(out: Outputs, *inputs: Artifact) -> "Callable[..., DataFrame]":
    """What reads inputs of a stage (dataset, artifacts), all in one session; queries over little are interpreted."""
    from spark_jobs.frames import read
    from spark_jobs.session import interpreting

    spark = session(out.resources, out.home)
    if sum(file.stat().st_size for artifact in inputs for file in artifact.files) < INTERPRETED_BYTES:
        spark = interpreting(spark)
    return lambda dataset, *artifacts: read(spark, DATASETS[dataset], [f for a in artifacts for f in a.files])


def _write(out: Outputs, **frames: "DataFrame") -> None:
    for number, (name, frame) in enumerate(frames.items()):
        out.progress(number, len(frames), name)
        frame.write.parquet(str(out[name].path), mode="overwrite")
        out[name].written_by_spark()


@contextmanager
def explained(stage: str) -> Iterator[None]:
    """Spark's errors as one line that says where the rest of them is."""
    from py4j.protocol import Py4JError, Py4JJavaError
    from pyspark.errors import PySparkException

    from spark_jobs.session import session_log

    try:
        yield
    except (PySparkException, Py4JError, ConnectionError) as error:
        text = str(error.java_exception) if isinstance(error, Py4JJavaError) else str(error)
        lines = text.strip().splitlines() or [type(error).__name__]
        # Of a Python worker the first line says only that it failed; what went wrong is where its traceback ends.
        raised = [line for line in lines[1:] if re.match(r"[\w.]+(Error|Exception|Failure): ", line)]
        words = " ".join((lines[0], *raised[-1:]))
        raise Failure(f"{stage}: Spark failed: {words} (all of it in {session_log()})") from error
