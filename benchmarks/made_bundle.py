"""A bundle of any size from random tables and small ONNX graphs: no training, no Spark, no torch.

Benchmarks time it, tests check it against slow references. Every table is a pure function of the sizes and the seed.
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import onnx
import pyarrow as pa
from onnx import TensorProto, helper, numpy_helper

from expectations.datasets import DATASETS
from models.runtime.features import PAIR_FEATURES
from models.runtime.items import DAY_S, TIERS, moment_s
from models.runtime.ranker import Ranker
from models.serving import export
from models.serving.sources import ReleaseSource, with_stages

DATE = "2026-03-01"
TOWERS = "f" * 64
GENRES = ("drama", "comedy", "crime", "family", "horror", "sports")
REGIONS = ("north", "south", "west")
LANGUAGES = ("en", "de", "fr")

Tables = dict[str, pa.Table]


def table(dataset: str, **columns: Any) -> pa.Table:
    """Rows of a dataset; values are cast to the declared types, columns that are not given are null, or outside ids."""
    rows = len(next(iter(columns.values())))
    declared = DATASETS[dataset].schema
    for kind in ("user", "item"):
        if f"external_{kind}_id" in declared.names:
            columns[f"external_{kind}_id"] = _outside(kind, columns[f"{kind}_id"])
    arrays = [_array(columns[f.name], f.type) if f.name in columns else pa.nulls(rows, f.type) for f in declared]
    return pa.Table.from_arrays(arrays, schema=declared)


def _array(values: Any, type_: pa.DataType) -> pa.Array:
    array = values if isinstance(values, pa.Array) else pa.array(values)
    return array.cast(pa.int64()).cast(type_) if pa.types.is_timestamp(type_) else array.cast(type_)


def lists(values: np.ndarray, lengths: np.ndarray) -> pa.Array:
    """One list a row from flat values."""
    return pa.ListArray.from_arrays(pa.array(np.append(0, np.cumsum(lengths)), pa.int32()), pa.array(values))


def make_tables(num_users: int, num_items: int, dim: int = 16, history: int = 8, seed: int = 0) -> Tables:
    """Every table of a bundle. A tenth of the users and of the items are cold; nothing is learnt from anything."""
    rng = np.random.default_rng(seed)
    items = _items(num_items, rng)
    vectors = _unit(rng.normal(size=(num_items, dim)))
    warm_items = num_items - num_items // 10
    popularity = 1000.0 / (1 + rng.permutation(warm_items))
    lengths = rng.integers(1, 2 * history, num_users - num_users // 10)
    watched = rng.choice(warm_items, lengths.sum(), p=popularity / popularity.sum())
    return {
        "users": _users(num_users, rng),
        "items": items,
        "embeddings": table(
            "embeddings", item_id=np.arange(num_items), shard=np.arange(num_items) % 2, vector=_rows(vectors)
        ),
        **_log(watched, lengths, items, popularity, rng),
        **_collaborative(vectors[:warm_items], len(lengths), rng),
        "content_similarity": neighbours("content_similarity", vectors, min(40, num_items - 1)),
        "id_map": _id_map(num_users, num_items),
    }


def _users(num: int, rng: np.random.Generator) -> pa.Table:
    days = [datetime.date.fromisoformat(DATE) - datetime.timedelta(days=int(d)) for d in rng.integers(0, 300, num)]
    return table(
        "users",
        user_id=np.arange(num),
        age=rng.integers(8, 70, num),
        region=rng.choice(REGIONS, num),
        subscription_type=rng.choice(TIERS, num),
        signup_date=days,
    )


def _items(num: int, rng: np.random.Generator) -> pa.Table:
    now = moment_s(DATE)
    uploaded = now - rng.integers(0, 120 * DAY_S, num)
    until = pa.array(1_000_000 * (now + rng.integers(-10, 90, num) * DAY_S), mask=rng.random(num) < 0.5)
    restricted = [None if rng.random() < 0.7 else list(rng.choice(REGIONS, 2, replace=False)) for _ in range(num)]
    return table(
        "items",
        item_id=np.arange(num),
        title=[f"Title {n}" for n in range(num)],
        genres=[list(rng.choice(GENRES, rng.integers(1, 4), replace=False)) for _ in range(num)],
        content_type=rng.choice(["movie", "episode", "clip"], num),
        series_id=pa.array(np.arange(num) // 6, mask=np.arange(num) % 3 == 0),
        season=np.ones(num),
        episode=np.arange(num) % 6 + 1,
        duration_s=rng.integers(60, 7200, num),
        language=rng.choice(LANGUAGES, num),
        maturity_rating=rng.choice(["all", "7", "13", "16", "18"], num),
        content_tier=rng.choice(TIERS, num, p=[0.6, 0.3, 0.1]),
        available_regions=restricted,
        creator_id=rng.integers(0, max(2, num // 10), num),
        uploaded_at=1_000_000 * uploaded,
        available_until=until,
    )


def _log(
    watched: np.ndarray, lengths: np.ndarray, items: pa.Table, popularity: np.ndarray, rng: np.random.Generator
) -> Tables:
    """What the window says: users below `len(lengths)` and items below `len(popularity)` occur in it."""
    users, warm = np.arange(len(lengths)), np.arange(len(popularity))
    times = np.concatenate([np.arange(n) for n in lengths])
    seen = [np.unique(part) for part in np.split(watched, np.cumsum(lengths)[:-1])]
    genres = rng.choice(GENRES, 3 * len(users))
    shown = np.unique(rng.integers(0, len(users) * items.num_rows, 5 * len(users)))
    counts = np.bincount(watched, minlength=len(warm)) + 1
    return {
        "histories": table(
            "histories", user_id=users, item_ids=lists(watched, lengths), times=lists(times, lengths),
            watch_shares=lists(np.ones(len(watched)), lengths), seen=seen,
        ),
        "user_features": table(
            "user_features", user_id=users, num_watches=lengths, num_positives=lengths, num_items=lengths,
            num_impressions=lengths * 9, watch_s=lengths * 600.0, mean_completion=rng.random(len(users)),
            days_active=np.minimum(lengths, 28), recency_days=rng.random(len(users)) * 28,
            top_genres=lists(genres, np.full(len(users), 3)),
            top_genre_shares=lists(rng.random(3 * len(users)), np.full(len(users), 3)),
        ),
        "item_features": table(
            "item_features", item_id=warm, num_watches=counts, num_positives=counts, num_users=counts,
            num_impressions=counts * 9, watch_rate=rng.random(len(warm)) / 3, watch_s=rng.random(len(warm)) * 3000,
            mean_completion=rng.random(len(warm)), recent_watches=popularity,
        ),
        "exposures": table(
            "exposures", user_id=shown // items.num_rows, item_id=shown % items.num_rows,
            num_shown=rng.integers(1, 6, len(shown)), num_watched=rng.integers(0, 2, len(shown)),
        ),
        "popularity": table(
            "popularity", item_id=np.argsort(-popularity), score=-np.sort(-popularity), num_users=warm + 1,
            rank=warm + 1,
        ),
    }  # fmt: skip


def _collaborative(vectors: np.ndarray, num_users: int, rng: np.random.Generator) -> Tables:
    factors = rng.normal(size=(num_users, vectors.shape[1]))
    return {
        "als_user_factors": table("als_user_factors", user_id=np.arange(num_users), factors=_rows(factors)),
        "als_item_factors": table("als_item_factors", item_id=np.arange(len(vectors)), factors=_rows(vectors)),
        "item_similarity": neighbours("item_similarity", vectors, min(40, len(vectors) - 1)),
    }


def neighbours(dataset: str, vectors: np.ndarray, k: int) -> pa.Table:
    """The k nearest rows of each row, by cosine, as a similarity table."""
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    scores, found = faiss.knn(rows, rows, k + 1, faiss.METRIC_INNER_PRODUCT)
    own = found == np.arange(len(vectors))[:, None]
    own[~own.any(axis=1), -1] = True  # a row that did not find itself gives up its last neighbour
    return table(
        dataset,
        item_id=np.repeat(np.arange(len(vectors)), k),
        neighbour_id=found[~own],
        score=scores[~own],
        rank=np.tile(np.arange(k) + 1, len(vectors)),
    )


def _outside(kind: str, ids: Any) -> list[str]:
    return [f"{kind[0]}{n}" for n in ids]


def _id_map(num_users: int, num_items: int) -> pa.Table:
    kinds = ["user"] * num_users + ["item"] * num_items
    ids = np.append(np.arange(num_users), np.arange(num_items))
    outside = [*_outside("user", range(num_users)), *_outside("item", range(num_items))]
    return table("id_map", kind=kinds, id=ids, external_id=outside)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _rows(vectors: np.ndarray) -> pa.Array:
    return lists(vectors.astype(np.float32).ravel(), np.full(len(vectors), vectors.shape[1]))


# --- models -----------------------------------------------------------------------------------------------------------


def write_models(folder: Path, tables: Tables, seed: int = 0) -> dict[str, Path]:
    """Towers, ranker and index as files, by their name in the bundle.

    A user's vector is the mean of the vectors of the last history items plus a little of the age, at unit length.
    """
    rng = np.random.default_rng([seed, 1])
    ids = tables["embeddings"]["item_id"].to_numpy()
    vectors = np.stack(tables["embeddings"]["vector"].to_numpy())
    by_id = np.zeros((ids.max() + 2, vectors.shape[1]), dtype=np.float32)
    by_id[ids + 1] = vectors
    for name, graph in (
        ("user_tower.onnx", _user_tower(by_id, rng)),
        ("item_tower.onnx", _item_tower(by_id)),
        ("ranker.onnx", _ranker(rng)),
    ):
        (folder / name).write_bytes(graph.SerializeToString())
    age = {"name": "user_age", "column": "age", "kind": "number", "transform": "none", "mean": 35.0, "std": 20.0}
    item = {"name": "item_item_id", "column": "item_id", "kind": "category", "vocabulary": ids.tolist()}
    (folder / "encoders.json").write_text(json.dumps({"user": [age], "item": [item], "history_length": 10}))
    (folder / "ranker.json").write_text(json.dumps({"features": PAIR_FEATURES}))
    names = ("user_tower.onnx", "item_tower.onnx", "encoders.json", "ranker.onnx", "ranker.json")
    return {name: folder / name for name in names} | _write_index(folder, tables["embeddings"])


def _write_index(folder: Path, embeddings: pa.Table) -> dict[str, Path]:
    ids, shard = embeddings["item_id"].to_numpy().astype(np.int64), embeddings["shard"].to_numpy()
    vectors = np.stack(embeddings["vector"].to_numpy())
    files = {}
    for number in np.unique(shard):
        index = faiss.IndexIDMap2(faiss.IndexFlatIP(vectors.shape[1]))
        index.add_with_ids(vectors[shard == number], ids[shard == number])
        name = f"shard-{number:05d}.faiss"
        faiss.write_index(index, str(folder / name))
        files[f"index/{name}"] = folder / name
    (folder / "index.json").write_text(json.dumps({"tower_digest": TOWERS}))
    return {**files, "index/index.json": folder / "index.json"}


def _model(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: Mapping[str, np.ndarray]) -> Any:
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "made", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _value(name: str, *shape: Any, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, list(shape))


def _user_tower(by_id: np.ndarray, rng: np.random.Generator) -> Any:
    constants = {
        "table": by_id,
        "by_age": rng.normal(size=(1, by_id.shape[1])).astype(np.float32) / 5,
        "axis": np.array([1], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["table", "history"], ["watched"]),
        helper.make_node("ReduceSum", ["watched", "axis"], ["total"], keepdims=0),
        helper.make_node("Unsqueeze", ["user_age", "axis"], ["column"]),
        helper.make_node("MatMul", ["column", "by_age"], ["aged"]),
        helper.make_node("Add", ["total", "aged"], ["sum"]),
        helper.make_node("LpNormalization", ["sum"], ["user_vector"], axis=1, p=2),
    ]
    inputs = [_value("user_age", "n"), _value("history", "n", 10, kind=TensorProto.INT64)]
    return _model(nodes, inputs, [_value("user_vector", "n", by_id.shape[1])], constants)


def _item_tower(by_id: np.ndarray) -> Any:
    nodes = [helper.make_node("Gather", ["table", "item_item_id"], ["item_vector"])]
    inputs = [_value("item_item_id", "n", kind=TensorProto.INT64)]
    return _model(nodes, inputs, [_value("item_vector", "n", by_id.shape[1])], {"table": by_id})


def _ranker(rng: np.random.Generator) -> Any:
    """A linear model of click, seconds and completion on 32 hidden units."""
    num_features = len(PAIR_FEATURES)
    constants = {
        "w1": rng.normal(size=(num_features, 32)).astype(np.float32) / 10,
        "w2": rng.normal(size=(32, 3)).astype(np.float32) / 5,
        **{f"at{n}": np.array(n, dtype=np.int64) for n in range(3)},
    }
    nodes = [
        helper.make_node("MatMul", ["features", "w1"], ["hidden"]),
        helper.make_node("Tanh", ["hidden"], ["bent"]),
        helper.make_node("MatMul", ["bent", "w2"], ["logits"]),
        *(helper.make_node("Gather", ["logits", f"at{n}"], [f"logit{n}"], axis=1) for n in range(3)),
        helper.make_node("Sigmoid", ["logit0"], ["click_probability"]),
        helper.make_node("Exp", ["logit1"], ["watch_seconds"]),
        helper.make_node("Sigmoid", ["logit2"], ["completion_probability"]),
    ]
    outputs = [_value(name, "n") for name in Ranker.OUTPUTS]
    return _model(nodes, [_value("features", "n", num_features)], outputs, constants)


def foundation_tables(num_users: int, num_items: int, dim: int = 12, seed: int = 0) -> Tables:
    """Vectors of a transformer for every user and item; handed to `make_bundle`, its graph comes with them."""
    rng = np.random.default_rng([seed, 2])
    return {
        "member_embeddings": table(
            "member_embeddings", user_id=np.arange(num_users), vector=_rows(rng.normal(size=(num_users, dim)))
        ),
        "title_embeddings": table(
            "title_embeddings", item_id=np.arange(num_items), vector=_rows(rng.normal(size=(num_items, dim)))
        ),
    }


def _foundation_files(folder: Path, tables: Tables) -> dict[str, Path]:
    """A transformer whose member vector is the sum of the titles of the sentence, and how a play is told to it."""
    vectors = np.stack(tables["title_embeddings"].sort_by("item_id")["vector"].to_numpy())
    constants: dict[str, np.ndarray] = {
        "table": np.pad(vectors, ((1, 0), (0, 0))).astype(np.float32), "axis": np.array([1], dtype=np.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("Gather", ["table", "item"], ["titles"]),
        helper.make_node("ReduceSum", ["titles", "axis"], ["member_vector"], keepdims=0),
    ]
    inputs = [_value("item", "n", "l", kind=TensorProto.INT64)]
    graph = _model(nodes, inputs, [_value("member_vector", "n", vectors.shape[1])], constants)
    (folder / "transformer.onnx").write_bytes(graph.SerializeToString())
    told = {"max_tokens": 10, "num_words": 2, "play": 1, "actions": ["play"], "dim": vectors.shape[1]}
    (folder / "transformer.json").write_text(json.dumps(told))
    return {name: folder / name for name in ("transformer.onnx", "transformer.json")}


def make_bundle(
    folder: Path,
    tables: Tables,
    pipeline: Mapping[str, Any],
    seed: int = 0,
    sources: Sequence[ReleaseSource] = (),
) -> Path:
    """Assemble a bundle in `folder / "bundle"` from tables and a pipeline (JSON types); returns its path.

    Args:
        sources: beside those whose tables are given.
    """
    models = folder / "models"
    models.mkdir(parents=True, exist_ok=True)
    facts = {
        "date": DATE,
        "tower_digest": TOWERS,
        "versions": {"faiss": faiss.__version__, "onnx": onnx.__version__},
        "metric": "inner_product",
        "dim": len(tables["embeddings"]["vector"][0]),
        "index": {"tower_digest": TOWERS},
        "recall": 1.0,
    }
    files = write_models(models, tables, seed)
    if "title_embeddings" in tables:
        files |= _foundation_files(models, tables)
    export.assemble(folder / "bundle", tables, files, pipeline, facts, [*with_stages(tables), *sources])
    return folder / "bundle"
