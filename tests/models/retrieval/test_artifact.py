"""The folder of a trained model: what leaves it says the same as what was trained."""

import json
from dataclasses import replace

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
import torch

from expectations.errors import Failure
from models.config import FitConfig
from models.retrieval import export
from models.retrieval.artifact import SERVING_FILES, load_towers, save_towers, tower_digest
from models.retrieval.catalogue import Encoded
from models.retrieval.config import EmbeddingsConfig, TowersConfig
from models.retrieval.embedding import embed_items
from models.retrieval.queries import query_vectors
from models.retrieval.training import train_towers
from models.runtime.encoding import encode
from models.runtime.user_tower import UserTower

CONFIG = TowersConfig(
    dim=8, hidden=16, history_length=5, search_words=3, search_hashing="trigrams", search_buckets=40,
    age_powers=True, example_age=True, fit=FitConfig(max_epochs=1),
)  # fmt: skip
WORDS = ("dark", "river", "news", "notebooks")


@pytest.fixture(scope="module")
def rich(planted):
    """The planted audience with every kind of field on both sides, and holes in all of them."""
    rng = np.random.default_rng(0)
    num_users, num_items = len(planted.users), len(planted.items)

    def holes(values):
        return [None if hole else value for value, hole in zip(values, rng.random(len(values)) < 0.2, strict=True)]

    users = planted.users.set_column(1, "age", pa.array(holes(rng.integers(10, 80, num_users).tolist()), pa.int16()))
    items = planted.items
    columns = {
        "duration_s": pa.array(holes((rng.random(num_items) * 6000).tolist()), pa.float32()),
        "creator_id": pa.array(holes(rng.integers(0, 20, num_items).tolist()), pa.int32()),
        "language": pa.array(holes(rng.choice(["en", "fr"], num_items).tolist()), pa.string()),
        "embedding": pa.array(holes(rng.normal(size=(num_items, 6)).tolist()), pa.list_(pa.float32())),
        "genres": pa.array(holes(items["genres"].to_pylist()), pa.list_(pa.string())),
    }
    for name, column in columns.items():
        items = items.set_column(items.column_names.index(name), name, column)
    # Ids with gaps: a place in the catalogue is not an id.
    kept = pa.array(np.arange(num_items) % 7 != 3)
    return replace(planted, users=users, items=items.filter(kept))


@pytest.fixture(scope="module")
def saved(rich, tmp_path_factory, write_searches):
    """A trained model and the folder it was saved to."""
    folder = tmp_path_factory.mktemp("towers")
    users = np.arange(len(rich.users))
    searches = write_searches(folder.parent / "searches.parquet", users, [[WORDS[u % 4]] for u in users], users + 3e5)
    trained = train_towers(
        rich.watches, rich.users, rich.items, CONFIG,
        last_day=rich.last_day, scratch=tmp_path_factory.mktemp("scratch"), searches=[searches],
    )  # fmt: skip
    save_towers(trained, rich.users, rich.items, CONFIG.history_length, folder)
    return trained, folder


def encoders(folder) -> dict:
    return json.loads((folder / "encoders.json").read_text())


def item_vectors(trained, rich) -> np.ndarray:
    items = Encoded.of(rich.items, "item_id", trained.item_fields)
    with torch.no_grad():
        return trained.model.item_vectors(trained.model.item_inputs(items.take(items.rows(items.ids)))).numpy()


def run(path, inputs) -> tuple[list[str], np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [output.name for output in session.get_outputs()], session.run(None, inputs)[0]


def test_every_kind_of_field_is_exported(saved):
    fields = encoders(saved[1])
    kinds = {f["kind"] for f in fields["user"] + fields["item"]}
    assert kinds == {"category", "bag", "number", "vector", "hashed"}
    assert {f["name"] for f in fields["user"]} >= {"user_age", "user_age_square", "user_age_sqrt", "user_searched"}
    assert fields["history_length"] == 5
    assert all((saved[1] / name).exists() for name in SERVING_FILES)


def test_the_item_graph_says_what_the_model_says(saved, rich):
    trained, folder = saved
    names, got = run(folder / "item_tower.onnx", encode(rich.items, encoders(folder)["item"]))
    assert names == ["item_vector"] and got == pytest.approx(item_vectors(trained, rich), abs=1e-5)


def test_the_user_graph_maps_item_ids_and_says_what_the_model_says(saved, rich):
    """The age of examples, which the model was told in training, is 0 when serving and no input of the graph."""
    trained, folder = saved
    typed = [[*WORDS[: u % 5], "never typed in training"] if u % 3 else None for u in range(len(rich.users))]
    searching = rich.users.append_column("searched", pa.array(typed, pa.list_(pa.string())))
    users = Encoded.of(searching, "user_id", trained.user_fields)
    items = Encoded.of(rich.items, "item_id", trained.item_fields)
    rng = np.random.default_rng(0)
    histories = rng.integers(-1, 450, (len(users.ids), 5))  # -1 for none; 3, 10, ... and 400 on are unknown
    with torch.no_grad():
        inputs = trained.model.item_inputs(items.take(items.rows(items.ids)))
        rows = torch.from_numpy(items.rows(histories.ravel()).reshape(histories.shape))
        now = torch.zeros(len(users.ids))
        expected = trained.model.user_vectors(users.take(users.rows(users.ids)), rows, inputs, now)
    assert trained.model.example_age is not None and load_towers(folder).model.example_age is not None
    fields = encode(searching, encoders(folder)["user"])
    names, got = run(folder / "user_tower.onnx", {**fields, "history": histories + 1})
    assert names == ["user_vector"] and got == pytest.approx(expected.numpy(), abs=1e-5)
    assert UserTower(folder).vectors(searching, histories) == pytest.approx(got, abs=1e-6)
    changed = {**fields, "history": histories + 1, "user_searched": np.roll(fields["user_searched"], 1, axis=0)}
    assert np.abs(run(folder / "user_tower.onnx", changed)[1] - got).max() > 1e-3


def test_towers_without_hidden_layers_leave_as_graphs_too(rich, tmp_path):
    """`save_towers` compares both graphs with the model; what it wrote is read again."""
    (tmp_path / "scratch").mkdir()
    trained = train_towers(
        rich.watches, rich.users, rich.items, replace(CONFIG, hidden=0),
        last_day=rich.last_day, scratch=tmp_path / "scratch",
    )  # fmt: skip
    save_towers(trained, rich.users, rich.items, CONFIG.history_length, tmp_path)
    _, got = run(tmp_path / "item_tower.onnx", encode(rich.items, encoders(tmp_path)["item"]))
    assert got == pytest.approx(item_vectors(trained, rich), abs=1e-5)
    assert item_vectors(load_towers(tmp_path), rich) == pytest.approx(got, abs=1e-5)


def test_saving_twice_gives_the_same_bytes(saved, rich, tmp_path):
    trained, folder = saved
    save_towers(trained, rich.users, rich.items, CONFIG.history_length, tmp_path)
    files = sorted(path.name for path in folder.iterdir())
    assert files == sorted(path.name for path in tmp_path.iterdir())
    assert all((folder / name).read_bytes() == (tmp_path / name).read_bytes() for name in files)


def test_a_graph_that_says_something_else_is_refused(saved, rich, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_network", lambda graph, network, value: value)
    with pytest.raises(Failure, match=r"item_tower\.onnx differs from the trained model"):
        save_towers(saved[0], rich.users, rich.items, CONFIG.history_length, tmp_path)


def test_the_digest_tells_towers_apart(saved, tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"other")
    assert tower_digest(saved[1]) != tower_digest(tmp_path) and len(tower_digest(saved[1])) == 64


def test_embeddings_are_the_item_vectors_in_fair_shards(saved, rich):
    trained, folder = saved
    shuffled = rich.items.take(np.random.default_rng(0).permutation(len(rich.items)))
    config = EmbeddingsConfig(items_per_shard=100, batch_size=64)
    table = pa.Table.from_batches(embed_items(load_towers(folder), shuffled, config))
    assert table["item_id"].to_pylist() == rich.items["item_id"].to_pylist()
    assert np.array(table["vector"].to_pylist()) == pytest.approx(item_vectors(trained, rich), abs=1e-6)
    sizes = np.bincount(table["shard"].to_numpy())
    assert len(sizes) == 4 and sizes.max() <= 100 and sizes.max() - sizes.min() <= 1


def test_queries_are_the_vectors_of_real_users_and_their_histories(saved, rich):
    tower = UserTower(saved[1])
    histories = pa.table(
        {
            "user_id": pa.array([4, 9999, 2], pa.int32()),  # 9999 is not in the catalogue
            "item_ids": pa.array([[1], [2], [9, 8, 7, 6, 5, 4]], pa.list_(pa.int32())),
            "searched": pa.array([["dark"], ["river"], None], pa.list_(pa.string())),
        }
    )
    everybody = query_vectors(tower, rich.users, histories, most=1000, seed=0)
    expected = np.full((len(rich.users), 5), -1)
    expected[4, -1:], expected[2] = [1], [8, 7, 6, 5, 4]
    typed = pa.array([["dark"] if u == 4 else None for u in range(len(rich.users))], pa.list_(pa.string()))
    searching = rich.users.append_column("searched", typed)
    assert everybody == pytest.approx(tower.vectors(searching, expected), abs=1e-6)
    few, again, others = (query_vectors(tower, rich.users, histories, most=10, seed=seed) for seed in (0, 0, 1))
    assert len(few) == 10 and (few == again).all() and (few != others).any()
