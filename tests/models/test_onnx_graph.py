"""Graphs written node by node, run by onnxruntime."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

from models.onnx_graph import Graph


def run(path: Path, **inputs: np.ndarray) -> np.ndarray:
    (result,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, inputs)
    return result


@pytest.fixture
def layer() -> nn.Linear:
    return nn.Linear(3, 2)


def write(path: Path, layer: nn.Linear) -> Path:
    graph = Graph()
    graph.output(graph.unit_length(graph.linear(graph.input("x", "float32", 3), layer)), "y", 2)
    graph.save(path)
    return path


@pytest.mark.parametrize("rows", [1, 5])
def test_says_the_same_as_torch_for_any_number_of_rows(tmp_path, layer, rows):
    x = torch.randn(rows, 3, generator=torch.Generator().manual_seed(0))
    expected = functional.normalize(layer(x), dim=1).detach().numpy()
    assert run(write(tmp_path / "g.onnx", layer), x=x.numpy()) == pytest.approx(expected, abs=1e-6)


def test_rows_of_zeros_stay_zeros(tmp_path):
    graph = Graph()
    graph.output(graph.unit_length(graph.input("x", "float32", 2)), "y", 2)
    graph.save(tmp_path / "g.onnx")
    got = run(tmp_path / "g.onnx", x=np.array([[0, 0], [3, 4]], np.float32))
    assert got == pytest.approx(np.array([[0, 0], [0.6, 0.8]]), abs=1e-6)


def test_the_same_model_gives_the_same_bytes(tmp_path, layer):
    assert write(tmp_path / "a.onnx", layer).read_bytes() == write(tmp_path / "b.onnx", layer).read_bytes()


def test_a_graph_that_does_not_hold_together_is_refused(tmp_path):
    graph = Graph()
    graph.output(graph.add("Relu", "nowhere"), "y", 2)
    with pytest.raises(Exception, match="nowhere"):
        graph.save(tmp_path / "g.onnx")
