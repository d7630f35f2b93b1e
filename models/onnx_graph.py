"""Write small networks as ONNX, node by node.

Why not `torch.onnx.export`: both its exporters keep global state, so two stages that export side by side in threads
break each other (torch 2.13: "Failed to export", and the tracer stays broken), the new one takes 3 s to start and
writes the paths of our source files into the graph. A tower or a ranker is a dozen nodes; the same model always gives
the same bytes.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

_OPSET = 18
# What runtimes of the last years read; onnx would write the newest that it knows.
_IR_VERSION = 9


class Graph:
    """A graph under construction; every method that adds a node returns the name of its result."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, dtype: str, *shape: int) -> str:
        """An input of `[N, *shape]`; dtype is `int64` or `float32`."""
        element = {"int64": TensorProto.INT64, "float32": TensorProto.FLOAT}[dtype]
        self._inputs.append(helper.make_tensor_value_info(name, element, ["N", *shape]))
        return name

    def output(self, value: str, name: str, *shape: int) -> None:
        """Call a float32 value of `[N, *shape]` an output."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]))

    def constant(self, value: Tensor | np.ndarray) -> str:
        """A constant with the type that `value` has."""
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """One ONNX operator with one result."""
        name = f"value_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def linear(self, value: str, layer: nn.Linear) -> str:
        """`layer` on `[N, in]`."""
        weight, bias = self.constant(layer.weight), self.constant(layer.bias)
        return self.add("Gemm", value, weight, bias, transB=1)

    def unit_length(self, value: str) -> str:
        """Rows divided by their L2 norm; rows of zeros stay so, as in `torch.nn.functional.normalize`."""
        norm = self.add("ReduceL2", value, self.constant(np.array([1])), keepdims=1)
        return self.add("Div", value, self.add("Max", norm, self.constant(np.float32(1e-12).reshape(1))))

    def rows_of_ids(self, ids_plus_one: str, ids: np.ndarray) -> str:
        """item_id + 1 to 1 + row among ascending `ids`; 0 stays 0, and ids that are not among them become 0."""
        row_of_id = np.zeros(int(ids.max(initial=-1)) + 2, dtype=np.int64)
        row_of_id[ids.astype(np.int64) + 1] = np.arange(len(ids)) + 1
        inside = self.add("Less", ids_plus_one, self.constant(np.array(len(row_of_id))))
        bounded = self.add("Where", inside, ids_plus_one, self.constant(np.array(0)))
        return self.add("Gather", self.constant(row_of_id), bounded)

    def save(self, path: Path) -> None:
        """Check the graph and write it."""
        graph = helper.make_graph(self._nodes, "nightjar", self._inputs, self._outputs, self._constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION, producer_name="nightjar"
        )
        onnx.checker.check_model(model, full_check=True)
        path.write_bytes(model.SerializeToString(deterministic=True))
