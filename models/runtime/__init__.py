"""The runtime of a release: retrieve, filter, rank, order.

This folder is copied verbatim into every bundle. It needs numpy, pyarrow, faiss and onnxruntime, and nothing of
Nightjar: what was judged in the night is what a consumer serves. Its modules import each other relatively, so it works
under any name.
"""

from .errors import BundleError
from .lists import Result
from .release import Bundle

__all__ = ["Bundle", "BundleError", "Result"]
