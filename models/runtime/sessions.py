"""Models in onnxruntime."""

import os
from pathlib import Path

import numpy as np

# Since 1.29 onnxruntime posts telemetry to its vendor unless it is told not to before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort


def open_session(path: Path, threads: int) -> ort.InferenceSession:
    """A model, on the CPU; runs of it may come from several threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(session: ort.InferenceSession, inputs: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
    """The named outputs. Inputs that the model does not have are left out."""
    names = {i.name for i in session.get_inputs()}
    return session.run(outputs, {name: value for name, value in inputs.items() if name in names})
