"""Laws that every model of the catalogue keeps."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from expectations.errors import Failure
from flows.config import SECTIONS
from models.catalogue import MODELS, SOURCES
from models.interactions import Histories, Interactions, RatingPredictor, Recommender, Training
from models.onnx_runtime import onnxruntime
from models.retrieval.catalogue import Encoded
from models.retrieval.export import export_item_tower, export_user_tower
from models.retrieval.recommender import TwoTower
from models.sequence.export import export_transformer
from models.sequence.recommender import TransformerRecommender
from models.source_tables import tables_of
from tasks.stages import spark

USERS, ITEMS, DAY_S = 60, 40, 86_400
Train = Callable[..., Recommender]

WITHOUT_LOSS = {"popularity", "item_similarity", "ease"}
"""They count, or solve in closed form."""
WITHOUT_BOUNDS: dict[str, dict[str, Any]] = {
    "transformer": {"temperature": 1e-40},
    "two_tower": {"temperature": 1e-40},
    "als": {"feedback": "explicit"},  # ratings whose squares are beyond float32
}
"""Settings by which a model's loss becomes NaN."""


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


BY_SPARK = {name for name, model in MODELS.items() if model.on_spark}


@pytest.fixture(
    scope="module", params=[pytest.param(n, marks=pytest.mark.slow) if n in BY_SPARK else n for n in MODELS]
)
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


def test_unknown_items_of_a_history_count_as_not_there(model: Recommender) -> None:
    own, users = DATA.histories, np.arange(USERS)
    rows, strange = users.repeat(4), np.tile([-1, ITEMS, -ITEMS - 1, ITEMS + 100], USERS)
    mixed = Histories.of(np.concatenate([rows, own.rows, rows]), np.concatenate([strange, own.items, strange]), USERS)
    assert np.array_equal(model.scores(users, mixed), scores(model))
    only, nothing = Histories.of(rows, strange, USERS), Histories.of(rows[:0], strange[:0], USERS)
    assert np.array_equal(model.scores(users, only), model.scores(users, nothing))


def test_strangers_with_a_history_are_known_by_it(model: Recommender, name: str) -> None:
    """A newcomer with somebody's history gets what is near to it, without a training."""
    if name == "popularity":
        pytest.skip("knows nobody")
    found = model.scores(np.full(USERS, -1), DATA.histories)
    found[DATA.histories.rows, DATA.histories.items] = -np.inf
    own = [best in tastes(0)[user % 2] for user, best in enumerate(found.argmax(axis=1))]
    assert np.mean(own) > 0.8


def test_every_model_is_known_to_have_a_loss_or_none() -> None:
    assert {*WITHOUT_BOUNDS, *WITHOUT_LOSS} == set(MODELS)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_a_loss_that_is_no_number_ends_the_training(name: str, train: Train) -> None:
    if name not in WITHOUT_BOUNDS:
        pytest.skip("has no loss")
    assert DATA.ratings is not None
    huge = replace(DATA, ratings=DATA.ratings * np.float32(1e30))
    with pytest.raises(Failure, match=r"the loss (became|is) nan"):
        train(name, huge, settings=MODELS[name].settings(**WITHOUT_BOUNDS[name]))


@pytest.mark.slow
def test_explicit_feedback_stops_at_a_rating_that_is_no_number(train: Train) -> None:
    assert DATA.ratings is not None
    bad = replace(DATA, ratings=np.where(np.arange(len(DATA.ratings)) == 7, np.nan, DATA.ratings))
    with pytest.raises(Failure, match="rating is nan for user_id"):
        train("als", bad, settings=MODELS["als"].settings(feedback="explicit"))


RATING = [
    pytest.param(name, marks=pytest.mark.slow) if model.on_spark else name
    for name, model in MODELS.items()
    if model.rates_with is not None
]


@pytest.mark.parametrize("rating", RATING)
def test_predicted_ratings_are_the_scores_of_pairs(rating: str, train: Train) -> None:
    entry = MODELS[rating]
    assert entry.rates_with is not None and DATA.ratings is not None
    settings = entry.settings(**entry.rates_with)
    assert entry.rates(settings)
    model = cast(RatingPredictor, train(rating, settings=settings))
    users, items = DATA.histories.rows, DATA.histories.items
    predicted = model.predict(users, items)
    np.testing.assert_allclose(predicted, scores(model)[users, items], rtol=1e-5)
    mean_error, baseline = (np.square(DATA.ratings - p).mean() for p in (predicted, DATA.ratings.mean()))
    assert mean_error < baseline
    assert np.isfinite(model.predict(np.array([-1, 0]), np.array([0, -1]))).all(), "nobody and nothing are average"


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_has_what_its_kind_asks_for(source: str, train: Train) -> None:
    """And retrieves by it what the model itself would recommend."""
    model, kind = train(source), SOURCES[source].source
    everyone, everything = np.arange(USERS), np.arange(ITEMS)
    assert kind is not None
    tables = tables_of(model, kind, DATA, everyone, everything, DATA.histories)
    if kind == "lists":
        listed = tables["source_lists"]
        assert set(listed["user_id"].to_pylist()) == set(everyone.tolist())
    elif kind == "neighbours":
        near = tables["source_neighbours"].to_pandas().set_index(["item_id", "neighbour_id"])["score"]
        dense = np.zeros((ITEMS, ITEMS), np.float32)
        dense[tuple(np.array(near.index.to_list()).T)] = near
        found = np.stack([dense[DATA.histories.take(everyone[[u]]).items].sum(axis=0) for u in everyone])
        mine, theirs = found.argmax(axis=1), scores(model).argmax(axis=1)
        assert np.mean(mine == theirs) > 0.9
    else:
        users, items = (np.stack(tables[f"source_{side}_vectors"]["vector"].to_numpy()) for side in ("user", "item"))
        np.testing.assert_allclose(users @ items.T, scores(model), atol=1e-4)


def answer(graph: Path, **inputs: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, inputs)[0]


def by_graph_of_transformer(model: TransformerRecommender, folder: Path) -> np.ndarray:
    with torch.no_grad():
        titles = model.model.title_vectors(model.titles.take(np.arange(1, ITEMS + 1))).numpy()
    export_transformer(model.model, np.arange(ITEMS), titles, 0, folder / "members.onnx")
    item = DATA.histories.items.reshape(USERS, -1).astype(np.int64) + 1
    rest = model.model.shape.max_tokens - item.shape[1]
    sentences = {"item": np.pad(item, ((0, 0), (0, rest))), "length": DATA.histories.sizes}
    return answer(folder / "members.onnx", **sentences) @ titles.T


def by_graphs_of_towers(model: TwoTower, folder: Path) -> np.ndarray:
    towers, inputs, length = model._model, dict(model._item_inputs), model._history_length
    assert length is not None, "the data are ordered"
    items = Encoded(np.arange(ITEMS), inputs)
    export_item_tower(towers, items, folder / "items.onnx")
    export_user_tower(towers, Encoded(np.arange(1), {}), items, length, folder / "users.onnx")
    vectors = answer(folder / "items.onnx", **{name: rows[1:] for name, rows in inputs.items()})
    return answer(folder / "users.onnx", history=DATA.histories.last(length) + 1) @ vectors.T


@pytest.mark.parametrize(
    ("exported", "by_graph"), [("transformer", by_graph_of_transformer), ("two_tower", by_graphs_of_towers)]
)
def test_exported_graphs_score_as_the_model_does(
    exported: str, by_graph: Callable[..., np.ndarray], train: Train, tmp_path: Path
) -> None:
    """Counts, neighbours and factors are tables, and have no graph."""
    model = train(exported)
    np.testing.assert_allclose(by_graph(model, tmp_path), scores(model), atol=1e-5)


def test_settings_have_a_section_and_trials_are_settings(name: str) -> None:
    entry = MODELS[name]
    assert entry.section.partition(".")[0] in SECTIONS
    for changes in entry.trials:
        assert changes
