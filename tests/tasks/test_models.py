"""Laws that every model of the catalogue keeps."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expectations.errors import Failure
from flows.config import SECTIONS
from models.interactions import Histories, Interactions, Recommender, Training
from tasks import spark
from tasks.catalogue import MODELS

USERS, ITEMS, DAY_S = 60, 40, 86_400
Train = Callable[..., Recommender]


def tastes(seed: int) -> np.ndarray:
    """The two halves of the items, int `[2, ITEMS / 2]`."""
    return np.random.default_rng(seed).permutation(ITEMS).reshape(2, -1)


def made(seed: int) -> Interactions:
    """People of two tastes in turn: each takes ten items of their own half, in random order."""
    rng = np.random.default_rng([seed, 1])
    items = np.concatenate([rng.choice(tastes(seed)[user % 2], 10, replace=False) for user in range(USERS)])
    histories = Histories(np.arange(0, 10 * USERS + 1, 10), items.astype(np.int32))
    times = np.tile(np.arange(10), USERS) * DAY_S + 1_700_000_000
    ratings = rng.integers(1, 6, len(items)).astype(np.float32)
    return Interactions(histories, ITEMS, ordered=True, times=times, ratings=ratings)


DATA, OTHER = made(0), made(1)


@pytest.fixture(scope="module", autouse=True)
def application() -> Iterator[None]:
    """Spark, if a model starts it, ends with this file: its folder is one of a test."""
    yield
    spark.stop()


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Train a model of the catalogue as it ships."""

    def one(name: str, data: Interactions = DATA, seed: int = 0, settings: Any = None) -> Recommender:
        training = Training(tmp_path_factory.mktemp("scratch"), seed)
        return MODELS[name].train(data, settings or MODELS[name].settings(), training).model

    return one


@pytest.fixture(scope="module", params=list(MODELS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(name: str, train: Train) -> Recommender:
    return train(name)


def scores(model: Recommender, data: Interactions = DATA) -> np.ndarray:
    return model.scores(np.arange(USERS), data.histories)


def test_scores_are_one_finite_number_an_item(model: Recommender) -> None:
    found = scores(model)
    assert found.dtype == np.float32 and found.shape == (USERS, ITEMS)
    assert np.isfinite(found).all()


def test_a_training_forgets_the_one_before(name: str, model: Recommender, train: Train) -> None:
    other = train(name, OTHER)
    assert not np.array_equal(scores(other, OTHER), scores(model, OTHER))
    assert np.array_equal(scores(train(name), DATA), scores(model))


def test_what_is_saved_scores_the_same(name: str, model: Recommender, tmp_path: Path) -> None:
    model.save(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt")]
    assert np.array_equal(scores(MODELS[name].recommender.load(tmp_path)), scores(model))


def test_strangers_and_empty_histories_have_scores(model: Recommender) -> None:
    nothing = Histories(np.zeros(4, np.int64), np.zeros(0, np.int32))
    found = model.scores(np.array([-1, 0, -1]), nothing)
    assert found.shape == (3, ITEMS) and np.isfinite(found).all()
    assert np.isfinite(model.scores(np.array([-1, -1]), DATA.histories.take(np.array([3, 4])))).all()


def test_strangers_with_a_history_are_known_by_it(model: Recommender, name: str) -> None:
    """A newcomer with somebody's history gets what is near to it, without a training."""
    if name == "popularity":
        pytest.skip("knows nobody")
    found = model.scores(np.full(USERS, -1), DATA.histories)
    found[DATA.histories.rows, DATA.histories.items] = -np.inf
    own = [best in tastes(0)[user % 2] for user, best in enumerate(found.argmax(axis=1))]
    assert np.mean(own) > 0.8


def test_ratings_that_are_no_numbers_stop_or_are_not_read(name: str, model: Recommender, train: Train) -> None:
    bad = replace(DATA, ratings=np.where(np.arange(len(DATA.ratings)) == 7, np.nan, DATA.ratings))
    try:
        assert np.array_equal(scores(train(name, bad)), scores(model))
    except Failure as failure:
        assert "nan" in str(failure).lower()


def test_explicit_feedback_stops_at_a_rating_that_is_no_number(train: Train) -> None:
    bad = replace(DATA, ratings=np.where(np.arange(len(DATA.ratings)) == 7, np.nan, DATA.ratings))
    with pytest.raises(Failure, match="rating is nan for user_id"):
        train("als", bad, settings=MODELS["als"].settings(feedback="explicit"))


def test_settings_have_a_section_and_trials_are_settings(name: str) -> None:
    entry = MODELS[name]
    assert entry.section in SECTIONS
    for changes in entry.trials:
        assert changes
