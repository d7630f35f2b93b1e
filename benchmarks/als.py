"""Our ALS beside MLlib's on the same pairs in the same session: seconds, ratio, loss, peak memory.

python benchmarks/als.py --pairs 1000000 --users 20000 --items 5000 --factors 64 --iterations 10

Both minimise the same loss: MLlib too weights the ridge with the number of interactions. It is given Java's optimising
compiler, which the night's sessions leave out, and the deep stack that its lineage of ten sweeps asks for.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame, SparkSession

from spark_jobs.als import factorise
from spark_jobs.config import AlsConfig
from spark_jobs.session import spark_session, stop_session
from tasks.machine.memory import Meter

JAVA_OPTIONS = ("-XX:TieredStopAtLevel=4", "-Xss16m")

Floats = npt.NDArray[np.float32]
Factors = tuple[Floats, Floats]


def make_pairs(options: argparse.Namespace) -> pa.Table:
    """Pairs of users and items with power-law popularity; users mostly watch items of their own taste, of ten."""
    rng = np.random.default_rng(options.seed)
    drawn = int(options.pairs * 1.4)
    users = (rng.random(drawn) ** 1.5 * options.users).astype(np.int64)
    places = (rng.random(drawn) ** 2.5 * options.items).astype(np.int64)
    own_taste = rng.random(drawn) < 0.7
    items = np.where(own_taste, places // 10 * 10 + users % 10, places) % options.items
    keys = rng.permutation(np.unique(users * options.items + items))[: options.pairs]
    weights = rng.random(len(keys), np.float32) + 0.5
    ids = (keys // options.items).astype(np.int32), (keys % options.items).astype(np.int32)
    return pa.table({"user_id": ids[0], "item_id": ids[1], "weight": weights, "rating": np.ceil(weights * 3)})


def ours(frame: DataFrame, config: AlsConfig, options: argparse.Namespace) -> Factors:
    """Factors of `spark_jobs/als.py`."""
    made = factorise(frame, config)
    return (
        dense(made.users["user_id"].to_numpy(), made.users["factors"], options.users),
        dense(made.items["item_id"].to_numpy(), made.items["factors"], options.items),
    )


def mllib(frame: DataFrame, config: AlsConfig, options: argparse.Namespace) -> Factors:
    """Factors of MLlib's ALS with the same settings."""
    implicit = config.feedback == "implicit"
    model = ALS(
        rank=config.factors,
        maxIter=config.iterations,
        regParam=config.regularisation,
        implicitPrefs=implicit,
        alpha=config.alpha,
        userCol="user_id",
        itemCol="item_id",
        ratingCol="weight" if implicit else "rating",
        seed=config.seed,
        numUserBlocks=options.blocks,
        numItemBlocks=options.blocks,
    ).fit(frame)
    users, items = model.userFactors.toArrow(), model.itemFactors.toArrow()
    return (
        dense(users["id"].to_numpy(), users["features"], options.users),
        dense(items["id"].to_numpy(), items["features"], options.items),
    )


def dense(ids: npt.NDArray[np.int32], factors: pa.ChunkedArray, size: int) -> Floats:
    """Factors as one array with a row for every id, zeros for those without."""
    values = factors.combine_chunks().values.to_numpy()
    found = np.zeros((size, len(values) // len(ids)), np.float32)
    found[ids] = values.reshape(len(ids), -1)
    return found


def loss(factors: Factors, pairs: pa.Table, config: AlsConfig) -> float:
    """The loss that both minimise."""
    x, y = factors
    users, items = pairs["user_id"].to_numpy(), pairs["item_id"].to_numpy()
    parts = range(0, len(users), 100_000)
    scores = np.concatenate(
        [np.einsum("nf,nf->n", x[users[n : n + 100_000]], y[items[n : n + 100_000]]) for n in parts]
    ).astype(np.float64)  # fmt: skip
    if config.feedback == "implicit":
        confidence = 1 + config.alpha * pairs["weight"].to_numpy()
        all_squares = float(np.sum((x.T @ x).astype(np.float64) * (y.T @ y)))
        data = float(np.sum(confidence * (1 - scores) ** 2 - scores**2)) + all_squares
    else:
        data = float(np.sum((pairs["rating"].to_numpy() - scores) ** 2))
    ridges = (np.bincount(ids, minlength=len(f)) @ np.square(f).sum(1) for ids, f in ((users, x), (items, y)))
    return data + config.regularisation * float(sum(ridges))


def measured(
    run: Callable[..., Factors], frame: DataFrame, config: AlsConfig, options: argparse.Namespace
) -> tuple[Factors, float, float]:
    """Factors, seconds and peak GiB of the process tree, after a first small run that loads what has to be loaded."""
    run(frame.limit(1000), AlsConfig(factors=4, iterations=1, feedback=config.feedback), options)
    with Meter() as meter:
        began = time.monotonic()
        factors = run(frame, config, options)
        seconds = time.monotonic() - began
    return factors, seconds, meter.peak_since() / 2**30


def compare(spark: SparkSession, folder: Path, options: argparse.Namespace) -> None:
    """Run both and print a table."""
    pairs = make_pairs(options)
    pq.write_table(pairs, folder / "pairs.parquet")
    frame = spark.read.parquet(str(folder / "pairs.parquet"))
    names = ("feedback", "factors", "iterations", "regularisation", "alpha", "cg_steps", "seed")
    config = AlsConfig(**{name: getattr(options, name) for name in names})
    print(f"{len(pairs):,} pairs, {options.users:,} users, {options.items:,} items; {config}")
    systems = {"ours": ours} | ({} if options.without_mllib else {"mllib": mllib})
    seconds: dict[str, float] = {}
    for name, run in systems.items():
        factors, seconds[name], peak_gib = measured(run, frame, config, options)
        print(
            f"{name:6} {seconds[name]:8.1f} s   loss {loss(factors, pairs, config):14,.1f}   peak {peak_gib:5.2f} GiB"
        )
    if "mllib" in seconds:
        print(f"ours is {seconds['mllib'] / seconds['ours']:.1f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = AlsConfig()
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=5_000)
    parser.add_argument("--feedback", choices=("implicit", "explicit"), default="implicit")
    for name in ("factors", "iterations", "regularisation", "alpha", "cg_steps", "seed"):
        value = getattr(defaults, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--memory-gib", type=float, default=4)
    parser.add_argument("--blocks", type=int, default=10, help="MLlib's user and item blocks")
    parser.add_argument("--without-mllib", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        spark = spark_session(options.master, options.memory_gib, 2, Path(folder), "als benchmark", JAVA_OPTIONS)
        try:
            compare(spark, Path(folder), options)
        finally:
            stop_session()


if __name__ == "__main__":
    main()
