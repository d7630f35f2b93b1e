"""The towers as ONNX graphs, for a runtime that knows neither torch nor this project.

The user tower carries the item inputs of the whole catalogue, since histories arrive as item ids.
"""

import functools
from pathlib import Path

import numpy as np
import torch
from onnx import TensorProto
from torch import nn

from expectations.errors import Failure
from models.onnx_graph import Graph
from models.onnx_runtime import onnxruntime
from models.retrieval.catalogue import Encoded
from models.retrieval.towers import FieldSum, TwoTowers

_TOLERANCE = 1e-5


def export_item_tower(model: TwoTowers, items: Encoded, path: Path) -> None:
    """Write `item_tower.onnx`: all item fields -> `item_vector` float32 `[N, D]`, unit length."""
    graph = Graph()
    inputs = _field_sum(graph, model.item_fields)
    total = graph.add("Add", inputs, _network(graph, model.item_network, inputs)) if model.hidden else inputs
    graph.output(graph.unit_length(total), "item_vector", model.dim)
    graph.save(path)
    rows = np.arange(min(len(items.ids), 64)) + 1
    with torch.no_grad():
        expected = model.item_vectors(model.item_inputs(items.take(rows)))
    _check(path, {name: values[rows] for name, values in items.inputs.items()}, expected.numpy())


def export_user_tower(model: TwoTowers, users: Encoded, items: Encoded, history_length: int, path: Path) -> None:
    """Write `user_tower.onnx`: all user fields and `history` int64 `[N, H]` (item_id + 1, 0 for none) ->
    `user_vector` float32 `[N, D]`, unit length. Ids that the catalogue does not have count as none.

    The age of an example is 0 when serving, which adds nothing: the graph has no such input.

    Args:
        users: what the catalogue says of them; the graph's searches are checked with made ones.
        items: the catalogue that the model was trained on.
    """
    with torch.no_grad():
        inputs_UD = model.item_inputs(items.take(np.arange(1, len(items.ids) + 1)))
    graph = Graph()
    history = graph.input("history", "int64", history_length)
    rows = graph.rows_of_ids(history, items.ids)
    table = graph.constant(np.pad(inputs_UD.numpy(), ((1, 0), (0, 0))))
    windows = [rows, *(_last(graph, rows, length) for length in model.recent)]
    means = [_mean_of_rows(graph, window, table) for window in windows]
    fields = _field_sum(graph, model.user_fields)
    if not model.user_fields.fields:
        fields = graph.add("Expand", fields, graph.add("Shape", means[0]))
    means.append(fields)
    terms = list(means)
    if model.hidden:
        terms.insert(0, _network(graph, model.user_network, graph.add("Concat", *means, axis=1)))
    total = functools.reduce(lambda one, other: graph.add("Add", one, other), terms)
    graph.output(graph.unit_length(total), "user_vector", model.dim)
    graph.save(path)
    _check_user_tower(model, users, items.ids, inputs_UD, history_length, path)


def _field_sum(graph: Graph, fields: FieldSum) -> str:
    """`FieldSum.forward`, node by node; the result is `[D]` where there are no fields."""
    total = graph.constant(fields.bias)
    for field in fields.fields:
        length = field.get("length", 0) * field.get("pieces", 1)
        total = graph.add("Add", total, _field(graph, fields, field["name"], field["kind"], length))
    return total


def _field(graph: Graph, fields: FieldSum, name: str, kind: str, length: int) -> str:
    if kind == "category":
        return graph.add("Gather", _table(graph, fields, name), graph.input(name, "int64"))
    if kind in ("bag", "hashed"):
        return _mean_of_rows(graph, graph.input(name, "int64", length), _table(graph, fields, name))
    layer = fields.numbers[name]
    assert isinstance(layer, nn.Linear)
    if kind == "vector":
        return graph.linear(graph.unit_length(graph.input(name, "float32", length)), layer)
    return graph.linear(graph.add("Unsqueeze", graph.input(name, "float32"), graph.constant(np.array([1]))), layer)


def _table(graph: Graph, fields: FieldSum, name: str) -> str:
    table = fields.tables[name]
    assert isinstance(table, nn.Embedding | nn.EmbeddingBag)
    return graph.constant(table.weight)


def _mean_of_rows(graph: Graph, rows: str, table: str) -> str:
    """Mean of the table rows `[N, F]` other than row 0, which is zeros; zeros where there are none."""
    places = graph.constant(np.array([1]))
    total = graph.add("ReduceSum", graph.add("Gather", table, rows), places, keepdims=0)
    present = graph.add("Cast", graph.add("Greater", rows, graph.constant(np.array(0))), to=TensorProto.FLOAT)
    count = graph.add("ReduceSum", present, places, keepdims=1)
    return graph.add("Div", total, graph.add("Max", count, graph.constant(np.ones(1, np.float32))))


def _last(graph: Graph, rows: str, length: int) -> str:
    starts, ends, axes = (graph.constant(np.array([number])) for number in (-length, np.iinfo(np.int64).max, 1))
    return graph.add("Slice", rows, starts, ends, axes)


def _network(graph: Graph, network: nn.Sequential, value: str) -> str:
    for layer in network:
        value = graph.linear(value, layer) if isinstance(layer, nn.Linear) else graph.add("Relu", value)
    return value


def _check_user_tower(
    model: TwoTowers, users: Encoded, item_ids: np.ndarray, inputs_UD: torch.Tensor, history_length: int, path: Path
) -> None:
    rng = np.random.default_rng(0)
    rows = np.arange(min(len(users.ids), 64)) + 1
    history = rng.integers(0, len(item_ids) + 1, size=(len(rows), history_length))
    fields = users.take(rows) | {
        field["name"]: torch.from_numpy(
            rng.integers(0, field["buckets"] + 1, size=(len(rows), field["length"] * field["pieces"]))
        )
        for field in model.user_fields.fields
        if field["kind"] == "hashed"
    }
    with torch.no_grad():
        expected = model.user_vectors(fields, torch.from_numpy(history), inputs_UD)
    ids_plus_one = np.where(history > 0, np.append(item_ids, -1)[history - 1].astype(np.int64) + 1, 0)
    _check(path, {n: v.numpy() for n, v in fields.items()} | {"history": ids_plus_one}, expected.numpy())


def _check(path: Path, inputs: dict[str, np.ndarray], expected: np.ndarray) -> None:
    """The graphs are written by hand: no model leaves without proof that its graph says the same."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, inputs)
    difference = np.abs(got - expected).max(initial=0.0)
    if not difference <= _TOLERANCE:
        raise Failure(
            f"{path.name} differs from the trained model by {difference:.1e}; models/retrieval/export.py lags"
        )
