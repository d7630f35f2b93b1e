"""The ranker as files: what serving runs, what training can go on from, and what is worth knowing of it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto
from torch import nn

from expectations.errors import Failure
from models.fit import save_weights
from models.onnx_graph import Graph
from models.onnx_runtime import onnxruntime
from models.ranking.config import RankerConfig
from models.ranking.network import CLICK, CLIP, COMPLETION, WATCH, Ranker, ServedRanker
from models.ranking.training import TrainedRanker, predict

INPUT = "features"
OUTPUTS = ("click_probability", "watch_seconds", "completion_probability")
TOLERANCE = 1e-5


def save(
    trained: TrainedRanker,
    feature_names: tuple[str, ...],
    config: RankerConfig,
    facts: Mapping[str, Any],
    folder: Path,
) -> None:
    """Write `ranker.onnx`, `weights.safetensors`, `ranker.json` and `training_log.json`.

    Args:
        facts: what else `ranker.json` should say, such as the day that features are as of.
    """
    export_onnx(trained.model, folder / "ranker.onnx")
    save_weights(trained.model.ranker, folder / "weights.safetensors")
    trained.log.save(folder / "training_log.json")
    description = {
        "features": list(feature_names),
        "outputs": list(OUTPUTS),
        "shape": asdict(trained.model.ranker.shape),
        "completion_threshold": config.completion_threshold,
        "max_watch_s": trained.model.max_watch_s,
        "seconds_per_odds": trained.model.seconds_per_odds,
        "validation": trained.quality,
        **facts,
    }
    (folder / "ranker.json").write_text(json.dumps(description, indent=2) + "\n")


def export_onnx(served: ServedRanker, path: Path) -> None:
    """Write the graph: input `features` float32 `[N, F]`, outputs `OUTPUTS`, float32 `[N]` each, for any N.

    Raises:
        Failure: the graph, run by onnxruntime, does not say what the trained model says.
    """
    ranker = served.ranker
    graph = Graph()
    features = graph.input(INPUT, "float32", ranker.shape.num_features)
    logits = [graph.add("Squeeze", logit, graph.constant(np.array([1]))) for logit in _logits(graph, ranker, features)]
    odds = graph.add("Exp", graph.add("Min", logits[WATCH], _number(graph, served.highest_watch_logit)))
    seconds = graph.add("Mul", odds, _number(graph, served.seconds_per_odds))
    results = (graph.add("Sigmoid", logits[CLICK]), seconds, graph.add("Sigmoid", logits[COMPLETION]))
    for name, result in zip(OUTPUTS, results, strict=True):
        graph.output(result, name)
    graph.save(path)
    _check(served, path)


def _logits(graph: Graph, ranker: Ranker, features: str) -> list[str]:
    """`Ranker.forward`, node by node: a logit `[N, 1]` for each task."""
    inputs = _normalised(graph, ranker, features)
    experts = [_layers(graph, expert.children(), inputs) for expert in ranker.experts]
    mixed = [experts[0]] * len(ranker.heads)
    if ranker.shape.num_experts > 1:
        stacked = [graph.add("Unsqueeze", expert, graph.constant(np.array([1]))) for expert in experts]
        experts_NEH = graph.add("Concat", *stacked, axis=1)
        mixed = [_gated(graph, gate, inputs, experts_NEH) for gate in ranker.gates]
    logits = [_layers(graph, [head], value) for value, head in zip(mixed, ranker.heads, strict=True)]
    if not ranker.shape.position_bias:
        return logits
    place = graph.add("Gather", features, graph.constant(np.array([ranker.shape.position])), axis=1)
    place = _clamped(graph, place, 0, ranker.shape.max_position)
    row = graph.add("Squeeze", graph.add("Cast", place, to=TensorProto.INT64), graph.constant(np.array([1])))
    biases = [graph.constant(column) for column in ranker.place_biases().split(1, dim=1)]
    return [graph.add("Add", z, graph.add("Gather", bias, row)) for z, bias in zip(logits, biases, strict=True)]


def _normalised(graph: Graph, ranker: Ranker, features: str) -> str:
    raw = graph.add("Gather", features, graph.constant(ranker.content_C), axis=1)
    logged = graph.add("Log", graph.add("Add", graph.add("Max", raw, _number(graph, 0)), _number(graph, 1)))
    value = graph.add("Where", graph.constant(ranker.log1p_C > 0), logged, raw)
    value = graph.add("Sub", value, graph.constant(ranker.mean_C))
    value = graph.add("Mul", value, graph.constant(ranker.scale_C))
    return _clamped(graph, value, -CLIP, CLIP)


def _gated(graph: Graph, gate: nn.Module, inputs: str, experts_NEH: str) -> str:
    weights_NE = graph.add("Softmax", _layers(graph, [gate], inputs), axis=1)
    weighted = graph.add("Mul", graph.add("Unsqueeze", weights_NE, graph.constant(np.array([2]))), experts_NEH)
    return graph.add("ReduceSum", weighted, graph.constant(np.array([1])), keepdims=0)


def _layers(graph: Graph, layers: Iterable[nn.Module], value: str) -> str:
    for layer in layers:
        value = graph.linear(value, layer) if isinstance(layer, nn.Linear) else graph.add("Relu", value)
    return value


def _clamped(graph: Graph, value: str, low: float, high: float) -> str:
    return graph.add("Min", graph.add("Max", value, _number(graph, low)), _number(graph, high))


def _number(graph: Graph, value: float) -> str:
    return graph.constant(np.array([value], dtype=np.float32))


def _check(served: ServedRanker, path: Path) -> None:
    """The graph is written by hand: no ranker leaves without proof that it says the same."""
    ranker = served.ranker
    features = np.random.default_rng(0).normal(size=(256, ranker.shape.num_features)).astype(np.float32)
    features[:, ranker.content_C] /= np.maximum(ranker.scale_C.numpy(), 1e-3)
    features += ranker.typical()
    features[:, ranker.shape.position] = np.arange(len(features))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    got = np.stack(session.run(list(OUTPUTS), {INPUT: features}))
    expected = predict(served, features)
    if not np.allclose(got, expected, rtol=TOLERANCE, atol=TOLERANCE):
        worst = np.abs(got / expected - 1).max()
        raise Failure(f"{path.name} differs from the trained ranker by {worst:.1e}; models/ranking/export.py lags")
