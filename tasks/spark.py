"""The stages that run in Spark, and the one Spark application that serves them all night."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from spark_jobs.config import AlsConfig, FeaturesConfig, InteractionsConfig, ItemSimilarityConfig, PopularityConfig
from tasks.config import ResourcesConfig
from tasks.lake import Artifact
from tasks.outputs import Outputs
from tasks.stage import stage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_LOCK = threading.Lock()


def session(resources: ResourcesConfig, home: Path) -> "SparkSession":
    """The night's Spark application; started by whoever asks first."""
    from spark_jobs.session import spark_session

    with _LOCK:
        return spark_session(
            resources.spark_master, max(1.0, resources.memory_gib * 0.3), resources.threads, home, "nightjar"
        )


def start_in_background(resources: ResourcesConfig, home: Path) -> None:
    """Start it while something else goes on."""
    threading.Thread(target=session, args=(resources, home), name="spark-start", daemon=True).start()


@stage(produces=("interactions",), libraries=("pyspark",))
def interactions(out: Outputs, watches: tuple[Artifact, ...], config: InteractionsConfig) -> None:
    """The window's positives by user and item."""
    from spark_jobs.interactions import interactions

    _write(out, interactions=interactions(_read(out, "watches", watches), out.date, config))


@stage(produces=("user_features", "item_features", "histories", "exposures"), libraries=("pyspark",))
def features(
    out: Outputs,
    watches: tuple[Artifact, ...],
    impressions: tuple[Artifact, ...],
    items: Artifact,
    config: FeaturesConfig,
) -> None:
    """What the log says of users and items as of the day."""
    from spark_jobs.features import features

    made = features(
        _read(out, "watches", watches),
        _read(out, "impressions", impressions),
        _read(out, "items", (items,)),
        out.date,
        config,
    )
    _write(out, **vars(made))


@stage(produces=("popularity",), libraries=("pyspark",))
def popularity(out: Outputs, watches: tuple[Artifact, ...], config: PopularityConfig) -> None:
    """Items by decayed number of positives."""
    from spark_jobs.popularity import popularity

    _write(out, popularity=popularity(_read(out, "watches", watches), out.date, config))


@stage(produces=("als_user_factors", "als_item_factors"), libraries=("pyspark", "numba"), threads=2)
def als(out: Outputs, interactions: Artifact, config: AlsConfig) -> None:
    """Matrix factorisation of the window's positives."""
    from spark_jobs.als import factorise

    made = factorise(_read(out, "interactions", (interactions,)), config, out.progress)
    out["als_user_factors"].write(made.users)
    out["als_item_factors"].write(made.items)
    out.note(losses=made.losses)


@stage(produces=("item_similarity",), libraries=("pyspark", "numba"), threads=2)
def item_similarity(out: Outputs, interactions: Artifact, config: ItemSimilarityConfig) -> None:
    """Nearest items by who watched them."""
    from spark_jobs.item_similarity import item_similarity

    _write(out, item_similarity=item_similarity(_read(out, "interactions", (interactions,)), out.date, config))


def _read(out: Outputs, dataset: str, artifacts: tuple[Artifact, ...]) -> "DataFrame":
    from expectations.datasets import DATASETS
    from spark_jobs.frames import read

    return read(session(out.resources, out.home), DATASETS[dataset], [f for a in artifacts for f in a.files])


def _write(out: Outputs, **frames: "DataFrame") -> None:
    for name, frame in frames.items():
        frame.write.parquet(str(out[name].path), mode="overwrite")
        out[name].written_by_spark()
