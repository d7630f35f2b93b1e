"""onnxruntime without its telemetry: since 1.29 it posts to its vendor, and keeps an id of the machine in the user's
cache folder, unless it is told not to before it is imported.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

__all__ = ["onnxruntime"]
