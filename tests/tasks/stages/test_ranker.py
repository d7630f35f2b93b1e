import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from expectations.datasets import DATASETS
from models.config import FitConfig
from models.onnx_graph import Graph
from models.ranking.config import RankerConfig
from models.runtime.features import PAIR_FEATURES
from tasks.engine.lake import Artifact, Ref
from tasks.engine.outputs import Outputs
from tasks.machine.config import ResourcesConfig
from tasks.stages.groups import Facts, Known
from tasks.stages.ranker import ranker

NUM_USERS, NUM_ITEMS, DIM = 60, 40, 4
BEFORE, DAYS = "2026-03-01", ("2026-03-02", "2026-03-03", "2026-03-04")
CONFIG = RankerConfig(batch_size=128, fit=FitConfig(learning_rate=1e-2, max_epochs=3, threads=1))

Inputs = dict[str, Any]
Write = Callable[..., Artifact]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Dataset, date and columns -> artifact on disk; columns that are not given are null, or 0."""

    def artifact(name: str, date: str, columns: Mapping[str, Any]) -> Artifact:
        count = len(next(iter(columns.values())))
        declared = DATASETS[name].columns
        fill = {c.name: [None if c.nullable else "" if c.type == pa.string() else 0] * count for c in declared}
        path = tmp_path / name / date
        path.mkdir(parents=True)
        pq.write_table(pa.table(fill | dict(columns), schema=DATASETS[name].schema), path / "part-00000.parquet")
        (path / "manifest.json").write_text(json.dumps({"rows": count}))
        return Artifact(Ref(name, date, "key"), path)

    return artifact


@pytest.fixture
def towers(tmp_path: Path) -> Artifact:
    """The least that the runtime takes for a user tower: the sum of random rows of the history."""
    path = tmp_path / "towers"
    path.mkdir()
    graph = Graph()
    table = graph.constant(torch.randn(NUM_ITEMS + 1, DIM, generator=torch.Generator().manual_seed(0)))
    rows = graph.add("Gather", table, graph.input("history", "int64", 3))
    total = graph.add("ReduceSum", rows, graph.constant(np.array([1])), keepdims=0)
    graph.output(graph.unit_length(total), "user_vector", DIM)
    graph.save(path / "user_tower.onnx")
    (path / "manifest.json").write_text(json.dumps({"notes": {"trained_to": DAYS[0]}}))
    (path / "encoders.json").write_text(json.dumps({"user": [], "item": [], "history_length": 3}))
    return Artifact(Ref("towers", BEFORE, "key"), path)


@pytest.fixture
def inputs(write: Write, towers: Artifact) -> Inputs:
    """Three days on which young users watch even items, and what was known before them."""
    rng = np.random.default_rng(0)
    users, items = np.arange(NUM_USERS), np.arange(NUM_ITEMS)
    age = rng.integers(15, 80, NUM_USERS)
    lists = [[int(i) for i in rng.choice(NUM_ITEMS, 3, replace=False)] for _ in users]
    history = {"item_ids": lists, "times": [[1, 2, 3]] * NUM_USERS, "watch_shares": [[1.0] * 3] * NUM_USERS}
    shares = {"top_genres": [["drama"]] * NUM_USERS, "top_genre_shares": [[1.0]] * NUM_USERS}
    vectors = list(rng.normal(size=(NUM_ITEMS, DIM)).astype(np.float32))
    genres = [["drama"], ["crime"]] * (NUM_ITEMS // 2)
    days = [_day(rng, number, age) for number in range(len(DAYS))]
    exposures = {"user_id": [0], "item_id": [1], "num_shown": [3]}
    return {
        "impressions": tuple(write("impressions", date, shown) for date, (shown, _) in zip(DAYS, days, strict=True)),
        "watches": tuple(write("watches", date, watched) for date, (_, watched) in zip(DAYS, days, strict=True)),
        "users": write("users", DAYS[-1], {"user_id": users, "age": age}),
        "items": write("items", DAYS[-1], {"item_id": items, "genres": genres}),
        "user_features": write("user_features", BEFORE, {"user_id": users, **shares}),
        "item_features": write("item_features", BEFORE, {"item_id": items, "num_positives": items}),
        "histories": write("histories", BEFORE, {"user_id": users, "seen": lists, **history}),
        "exposures": write("exposures", BEFORE, exposures),
        "embeddings": write("embeddings", DAYS[-1], {"item_id": items, "vector": vectors}),
        "towers": towers,
    }


def _day(rng: np.random.Generator, number: int, age: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    requests = np.repeat(np.arange(150), 5) + 1000 * number
    shown = {
        "request_id": requests,
        "position": np.tile(np.arange(1, 6), 150),
        "user_id": np.repeat(rng.integers(0, NUM_USERS, 150), 5),
        "item_id": rng.permuted(np.tile(np.arange(NUM_ITEMS), (150, 1)), axis=1)[:, :5].ravel(),
        "propensity": np.ones(750),
    }
    shown["time"] = np.full(750, f"{DAYS[number]}T12:00:00", dtype="datetime64[us]")
    liked = (age[shown["user_id"]] < 45) & (shown["item_id"] % 2 == 0)
    click = rng.random(750) < np.where(liked, 0.7, 0.1)
    watched = {name: shown[name][click] for name in ("request_id", "user_id", "item_id", "time")}
    count = np.count_nonzero(click)
    watched |= {"watch_id": np.arange(count) + 1000 * number, "positive": np.ones(count, dtype=bool)}
    watched |= {"watch_s": rng.exponential(300, count), "completion": rng.random(count), "weight": np.ones(count)}
    return shown, watched


def _run(inputs: Inputs, folder: Path, config: RankerConfig = CONFIG) -> Outputs:
    out = Outputs(DAYS[-1], folder, ("ranker",), ResourcesConfig(), folder)
    known = Known(inputs["users"], inputs["items"], Artifact(Ref("id_map", DAYS[-1], "key")))
    facts = Facts(*(inputs[name] for name in ("user_features", "item_features", "histories", "exposures")))
    given = {name: inputs[name] for name in ("impressions", "watches", "towers", "embeddings")}
    ranker.function(out, **given, known=known, facts=facts, config=config)
    return out


def test_writes_a_ranker_that_has_learnt(inputs: Inputs, tmp_path: Path) -> None:
    out = _run(inputs, tmp_path / "out")
    path = out["ranker"].path
    files = {"ranker.onnx", "weights.safetensors", "ranker.json", "training_log.json"}
    assert {file.name for file in path.iterdir()} == files
    described = json.loads((path / "ranker.json").read_text())
    assert described["features"] == list(PAIR_FEATURES)
    assert described["as_of"] == BEFORE and described["substitutes"] == []
    assert out.notes["validation"]["click_auc"] > 0.75
    assert out.notes["num_training"] == 2 * 750 and out.notes["num_validation"] == 750
    session = onnxruntime.InferenceSession(path / "ranker.onnx")
    chances, seconds, _ = session.run(None, {"features": np.ones((2, len(PAIR_FEATURES)), np.float32)})
    assert 0 < chances[0] < 1 and seconds[0] > 0


def test_runs_alike_give_the_same_bytes(inputs: Inputs, tmp_path: Path) -> None:
    first, again = (_run(inputs, tmp_path / name) for name in ("first", "again"))
    assert first.notes == again.notes
    for file in first["ranker"].path.iterdir():
        assert file.read_bytes() == (again["ranker"].path / file.name).read_bytes()


def test_without_impressions_it_learns_from_positives_and_says_so(inputs: Inputs, tmp_path: Path) -> None:
    out = _run(inputs | {"impressions": ()}, tmp_path / "out")
    assert out.notes["substitutes"] == [["negatives_uniform", {"num_negatives": CONFIG.num_negatives}]]
    num_positives = sum(day.rows for day in inputs["watches"][:2])
    assert out.notes["num_training"] == pytest.approx(5 * num_positives, rel=0.05)
    assert out.notes["validation"]["click_auc"] > 0.65


@pytest.mark.parametrize("impressions", [True, False])
def test_the_score_of_the_towers_is_hidden_on_days_they_know(inputs: Inputs, tmp_path: Path, impressions: bool) -> None:
    """A ranker that never sees the score gives it no weight."""
    features = np.zeros((2, len(PAIR_FEATURES)), np.float32)
    features[1, PAIR_FEATURES.index("tower_score")] = 0.9
    difference = {}
    for trained_to in (BEFORE, DAYS[0], DAYS[-1]):
        notes = json.dumps({"notes": {"trained_to": trained_to}})
        (inputs["towers"].path / "manifest.json").write_text(notes)
        towers = replace(inputs["towers"])  # reads its manifest once
        given = inputs | {"towers": towers} | ({} if impressions else {"impressions": ()})
        out = _run(given, tmp_path / trained_to)
        session = onnxruntime.InferenceSession(out["ranker"].path / "ranker.onnx")
        difference[trained_to] = float(np.ptp(session.run(["click_probability"], {"features": features})[0]))
    assert difference[DAYS[-1]] == 0
    assert 0 < difference[DAYS[0]] != difference[BEFORE] > 0


@pytest.mark.parametrize("name", ["user_features", "item_features", "histories", "exposures"])
def test_features_as_of_a_day_of_training_are_refused(inputs: Inputs, tmp_path: Path, name: str) -> None:
    later = replace(inputs[name], ref=Ref(name, DAYS[0], "key"))
    with pytest.raises(AssertionError):
        _run(inputs | {name: later}, tmp_path / "out")


def test_days_that_the_features_know_are_refused(inputs: Inputs, tmp_path: Path) -> None:
    known = replace(inputs["impressions"][0], ref=Ref("impressions", BEFORE, "key"))
    with pytest.raises(AssertionError, match="later than 2026-03-01"):
        _run(inputs | {"impressions": (known, *inputs["impressions"][1:])}, tmp_path / "out")
