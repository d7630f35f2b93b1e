"""ALS against slow exact references and a matrix whose withheld part is known."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from expectations.errors import Failure
from spark_jobs.als import Factorisation, als, factorise
from spark_jobs.config import AlsConfig

Doubles = npt.NDArray[np.float64]
SMALL = AlsConfig(factors=6, iterations=3, cg_steps=30, seed=5)


@pytest.fixture(scope="module")
def pairs(pairs_path: Path) -> pa.Table:
    """Random pairs of 60 users and 40 items, with a weight and a rating."""
    rows = pq.read_table(pairs_path).select(["user_id", "item_id", "weight"])
    ratings = np.random.default_rng(2).integers(1, 6, len(rows)).astype(np.float32)
    return rows.append_column("rating", pa.array(ratings))


@pytest.fixture(scope="module")
def frame(spark: SparkSession, pairs: pa.Table) -> DataFrame:
    return spark.createDataFrame(pairs).cache()


def factors(side: pa.Table, ids: str, size: int) -> Doubles:
    found = np.zeros((size, len(side["factors"][0])))
    found[side[ids].to_numpy()] = np.array(side["factors"].to_pylist())
    return found


def both(made: Factorisation) -> tuple[Doubles, Doubles]:
    return factors(made.users, "user_id", 60), factors(made.items, "item_id", 40)


def problem(pairs: pa.Table, config: AlsConfig) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Dense confidences and preferences of every pair, and the ridges of users and items."""
    seen, value = np.zeros((60, 40)), np.zeros((60, 40))
    at = pairs["user_id"].to_numpy(), pairs["item_id"].to_numpy()
    seen[at], value[at] = 1, pairs["weight" if config.feedback == "implicit" else "rating"].to_numpy()
    implicit = config.feedback == "implicit"
    confidence, preference = (1 + config.alpha * value, seen) if implicit else (seen, value)
    counts = [seen.sum(1), seen.sum(0)]
    ridges = [config.regularisation * (n if config.weighted_regularisation else np.ones(len(n))) for n in counts]
    return confidence, preference, ridges[0], ridges[1]


def loss(x: Doubles, y: Doubles, confidence: Doubles, preference: Doubles, x_ridge: Doubles, y_ridge: Doubles) -> float:
    squares = (confidence * (preference - x @ y.T) ** 2).sum()
    return float(squares + x_ridge @ (x**2).sum(1) + y_ridge @ (y**2).sum(1))


def reference(pairs: pa.Table, config: AlsConfig) -> tuple[Doubles, Doubles]:
    """The same sweeps by dense normal equations, row after row."""
    confidence, preference, x_ridge, y_ridge = problem(pairs, config)
    drawn = np.random.default_rng(config.seed).standard_normal((40, config.factors), np.float32)
    y = drawn / np.sqrt(config.factors) * np.logical_and(confidence.any(0), preference.any(0))[:, None]
    x = np.zeros((60, config.factors))
    for _ in range(config.iterations):
        for side, other, c, p, ridge in (
            (x, y, confidence, preference, x_ridge),
            (y, x, confidence.T, preference.T, y_ridge),
        ):
            for row in range(len(side)):
                a = (other.T * c[row]) @ other + ridge[row] * np.eye(config.factors)
                side[row] = np.linalg.lstsq(a, other.T @ (c[row] * p[row]), rcond=None)[0]
    return x, y


CASES = {
    "implicit": SMALL,
    "implicit, plain ridge": replace(SMALL, weighted_regularisation=False, regularisation=2.0),
    "implicit, another alpha": replace(SMALL, alpha=2.0),
    "explicit": replace(SMALL, feedback="explicit"),
    "explicit, plain ridge": replace(SMALL, feedback="explicit", weighted_regularisation=False, regularisation=3.0),
}


@pytest.mark.parametrize("config", CASES.values(), ids=CASES.keys())
def test_equals_the_exact_normal_equations(frame: DataFrame, pairs: pa.Table, config: AlsConfig) -> None:
    made = factorise(frame, config)
    x, y = both(made)
    expected_x, expected_y = reference(pairs, config)
    np.testing.assert_allclose(x, expected_x, atol=2e-3)
    np.testing.assert_allclose(y, expected_y, atol=2e-3)
    assert made.losses[-1] == pytest.approx(loss(x, y, *problem(pairs, config)), rel=1e-4)
    assert len(made.losses) == 3
    assert made.losses == sorted(made.losses, reverse=True)


@pytest.mark.parametrize("feedback", ["implicit", "explicit"])
def test_three_gradient_steps_reach_the_same_loss(frame: DataFrame, pairs: pa.Table, feedback: Any) -> None:
    config = replace(SMALL, feedback=feedback, iterations=12)
    quick = factorise(frame, replace(config, cg_steps=3)).losses
    assert quick == sorted(quick, reverse=True)
    assert quick[-1] == pytest.approx(loss(*reference(pairs, config), *problem(pairs, config)), rel=0.02)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 6},
        {"factors": 5},
        {"iterations": 4},
        {"alpha": 11},
        {"regularisation": 0.2},
        {"weighted_regularisation": False},
        {"cg_steps": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_setting_changes_something(frame: DataFrame, change: dict[str, Any]) -> None:
    assert factorise(frame, replace(SMALL, **change)).losses[-1] != factorise(frame, SMALL).losses[-1]


def test_the_checkerboard(spark: SparkSession) -> None:
    """Even users like even items, odd ones odd; of each user one liked item is withheld, and must come first."""
    size = 50
    liked = [(u, i) for u in range(size) for i in range(size) if (u + i) % 2 == 0 and u != i]
    frame = spark.createDataFrame([(u, i, 1.0) for u, i in liked], "user_id int, item_id int, weight float")
    made = factorise(frame, AlsConfig(factors=8, iterations=10))
    scores = factors(made.users, "user_id", size) @ factors(made.items, "item_id", size).T
    for user, item in liked:
        scores[user, item] = -np.inf
    assert scores.argmax(axis=1).tolist() == list(range(size))


def test_explicit_ratings_are_predicted(spark: SparkSession) -> None:
    """Ratings of rank 2 come back where they were withheld."""
    rng = np.random.default_rng(0)
    ratings = rng.uniform(0.5, 1.5, (40, 2)) @ rng.uniform(0.5, 1.5, (2, 30)) + 1
    seen = rng.random(ratings.shape) < 0.5
    rows = [(int(u), int(i), float(ratings[u, i])) for u, i in zip(*np.nonzero(seen), strict=True)]
    frame = spark.createDataFrame(rows, "user_id int, item_id int, rating float")
    made = factorise(frame, AlsConfig(feedback="explicit", factors=3, iterations=20, regularisation=1e-4, cg_steps=10))
    found = factors(made.users, "user_id", 40) @ factors(made.items, "item_id", 30).T
    assert np.sqrt(np.mean((found - ratings)[~seen] ** 2)) < 0.1
    assert np.std(ratings[~seen]) > 0.5


def test_runs_and_orders_of_rows_repeat_bit_for_bit(
    frame: DataFrame, pairs: pa.Table, shuffled: Callable[..., DataFrame]
) -> None:
    once, again, mixed = (factorise(f, SMALL) for f in (frame, frame, shuffled(pairs)))
    for other in (again, mixed):
        assert other.users == once.users and other.items == once.items and other.losses == once.losses


def test_only_those_with_interactions_have_factors(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(7, 3, 1.0), (2, 3, 1.0), (2, 9, 2.0)], "user_id int, item_id int, weight float")
    users, items = als(frame, AlsConfig(factors=2, iterations=1))
    assert sorted(r.user_id for r in users.collect()) == [2, 7]
    assert sorted(r.item_id for r in items.collect()) == [3, 9]


def test_progress_is_told(frame: DataFrame) -> None:
    told: list[tuple[int, int, str]] = []
    made = factorise(frame, SMALL, lambda *words: told.append(words))
    assert [(done, total) for done, total, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert told[-1][2] == f"loss {made.losses[-1]:.6g}"


def test_a_weight_that_is_no_number_is_named(spark: SparkSession) -> None:
    rows = [(1, 1, 1.0), (8, 5, float("nan"))]
    frame = spark.createDataFrame(rows, "user_id int, item_id int, weight float")
    with pytest.raises(Failure, match="als: weight is nan for user_id 8, item_id 5"):
        factorise(frame, SMALL)


def test_nothing_to_factorise(spark: SparkSession) -> None:
    with pytest.raises(Failure, match="als: nothing in the window has a weight"):
        factorise(spark.createDataFrame([], "user_id int, item_id int, weight float"), SMALL)


def test_a_loss_that_is_no_number_ends_it(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1, 1, 3e38), (2, 1, 3e38)], "user_id int, item_id int, weight float")
    with pytest.raises(Failure, match=r"als: the loss is (nan|inf) after sweep 1; raise `regularisation`"):
        factorise(frame, SMALL)
