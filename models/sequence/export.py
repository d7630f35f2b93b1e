"""The transformer as an ONNX graph, for a runtime that knows neither torch nor this project.

The graph carries the title vectors of the whole catalogue, since sentences arrive with item ids.

Shapes: N sentences, L places, D dimensions, H heads, W words of a search.
"""

import math
from pathlib import Path

import numpy as np
import torch
from onnx import TensorProto
from torch import nn

from expectations.errors import Failure
from models.interactions import Floats, Ints
from models.onnx_graph import Graph
from models.onnx_runtime import onnxruntime
from models.sequence.network import Block, Transformer
from models.sequence.sentences import PLAY

_TOLERANCE = 1e-4
_HIDDEN = np.float32(-1e9)


def export_transformer(model: Transformer, item_ids: Ints, title_vectors: Floats, num_words: int, path: Path) -> None:
    """Write `transformer.onnx`: `item` int64 `[N, L]` (item_id + 1, 0 for none; oldest first, padded with 0 on the
    right), `length` int64 `[N]`, and whichever of `action`, `device`, `gap` `[N, L]` and `words` `[N, L, W]` the model
    reads -> `member_vector` float32 `[N, D]`. Ids that the catalogue does not have count as none.

    Args:
        item_ids: ids of the catalogue, ascending; `title_vectors` are theirs, `[I, D]`.
        num_words: W.

    Raises:
        Failure: the graph does not say the same as the model.
    """
    shape = model.shape
    graph = Graph()
    rows = graph.rows_of_ids(graph.input("item", "int64", shape.max_tokens), item_ids)
    table = graph.constant(np.pad(title_vectors.astype(np.float32), ((1, 0), (0, 0))))
    scale = graph.constant(np.array(math.sqrt(shape.dim), np.float32))
    tokens = graph.add("Mul", graph.add("Gather", table, rows), scale)
    tokens = graph.add("Add", tokens, graph.constant(model.places.weight))
    for name, layer in model.tables.items():
        assert isinstance(layer, nn.Embedding)
        places = graph.input(name, "int64", shape.max_tokens)
        tokens = graph.add("Add", tokens, graph.add("Gather", graph.constant(layer.weight), places))
    if model.words is not None:
        words = graph.input("words", "int64", shape.max_tokens, num_words)
        tokens = graph.add("Add", tokens, _mean_of_words(graph, words, model.words))
    for block in model.blocks:
        assert isinstance(block, Block)
        tokens = _block(graph, tokens, block, shape.max_tokens)
    states = _norm(graph, tokens, model.norm)
    graph.output(_last(graph, states, shape.normalise), "member_vector", shape.dim)
    graph.save(path)
    _check(model, item_ids, title_vectors, num_words, path)


def _mean_of_words(graph: Graph, words: str, table: nn.EmbeddingBag) -> str:
    axis = graph.constant(np.array([2]))
    total = graph.add("ReduceSum", graph.add("Gather", graph.constant(table.weight), words), axis, keepdims=0)
    present = graph.add("Cast", graph.add("Greater", words, graph.constant(np.array(0))), to=TensorProto.FLOAT)
    count = graph.add("ReduceSum", present, axis, keepdims=1)
    return graph.add("Div", total, graph.add("Max", count, graph.constant(np.ones(1, np.float32))))


def _block(graph: Graph, tokens: str, block: Block, length: int) -> str:
    """`Block.forward`, node by node."""
    attended = _attend(graph, _norm(graph, tokens, block.norm_attention), block, length)
    tokens = graph.add("Add", tokens, attended)
    hidden = graph.add("Relu", _affine(graph, _norm(graph, tokens, block.norm_feedforward), block.expand))
    return graph.add("Add", tokens, _affine(graph, hidden, block.contract))


def _attend(graph: Graph, tokens: str, block: Block, length: int) -> str:
    dim, heads = block.out.in_features, block.num_heads
    wide = _affine(graph, tokens, block.query_key_value)
    split = graph.add("Reshape", wide, graph.constant(np.array([-1, length, 3, heads, dim // heads])))
    turned = graph.add("Transpose", split, perm=[2, 0, 3, 1, 4])
    query, key, value = (graph.add("Gather", turned, graph.constant(np.array(part)), axis=0) for part in range(3))
    logits = graph.add("MatMul", query, graph.add("Transpose", key, perm=[0, 1, 3, 2]))
    logits = graph.add("Mul", logits, graph.constant(np.array(1 / math.sqrt(dim // heads), np.float32)))
    future = np.triu(np.full((length, length), _HIDDEN), 1)
    weights = graph.add("Softmax", graph.add("Add", logits, graph.constant(future)), axis=3)
    mixed = graph.add("Transpose", graph.add("MatMul", weights, value), perm=[0, 2, 1, 3])
    return _affine(graph, graph.add("Reshape", mixed, graph.constant(np.array([-1, length, dim]))), block.out)


def _affine(graph: Graph, value: str, layer: nn.Linear) -> str:
    product = graph.add("MatMul", value, graph.constant(layer.weight.T.contiguous()))
    return graph.add("Add", product, graph.constant(layer.bias))


def _norm(graph: Graph, value: str, layer: nn.LayerNorm) -> str:
    weight, bias = graph.constant(layer.weight), graph.constant(layer.bias)
    return graph.add("LayerNormalization", value, weight, bias, axis=-1, epsilon=layer.eps)


def _last(graph: Graph, states: str, normalise: bool) -> str:
    """The state at the last place of each sentence; of an empty one at place 0."""
    one = graph.constant(np.array(1))
    place = graph.add("Max", graph.add("Sub", graph.input("length", "int64"), one), graph.constant(np.array(0)))
    index = graph.add("Unsqueeze", place, graph.constant(np.array([1])))
    vector = graph.add("GatherND", states, index, batch_dims=1)
    return graph.unit_length(vector) if normalise else vector


def _check(model: Transformer, item_ids: Ints, title_vectors: Floats, num_words: int, path: Path) -> None:
    """The graph is written by hand: no model leaves without proof that it says the same."""
    rng = np.random.default_rng(0)
    shape = model.shape
    length = np.append(rng.integers(1, shape.max_tokens + 1, 31), 0)
    inside = np.arange(shape.max_tokens) < length[:, None]
    row = np.where(inside, rng.integers(1, len(item_ids) + 1, inside.shape), 0)
    inputs = {"action": np.where(inside, PLAY, 0)}
    for name, size in (("device", shape.num_devices), ("gap", shape.num_gaps)):
        inputs[name] = np.where(inside, rng.integers(0, size, inside.shape), 0)
    inputs["words"] = np.where(
        inside[..., None], rng.integers(0, max(shape.num_words, 1), (*inside.shape, num_words)), 0
    )
    read = {name: values for name, values in inputs.items() if name in model.tables}
    if model.words is not None:
        read["words"] = inputs["words"]
    with torch.no_grad():
        tensors = {name: torch.from_numpy(values) for name, values in {**inputs, "item": row}.items()}
        expected = model.member_vectors(tensors, torch.from_numpy(title_vectors)).numpy()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    ids = np.where(row > 0, np.append(item_ids, -1)[row - 1].astype(np.int64) + 1, 0)
    (got,) = session.run(None, {**read, "item": ids, "length": length})
    difference = np.abs(got - expected).max(initial=0.0)
    if not difference <= _TOLERANCE * max(1.0, float(np.abs(expected).max(initial=1.0))):
        raise Failure(f"{path.name} differs from the trained model by {difference:.1e}; models/sequence/export.py lags")
