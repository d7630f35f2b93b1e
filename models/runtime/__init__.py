"""The runtime of a release: retrieve, filter, rank, order.

This folder is copied verbatim into every bundle. It needs numpy, pyarrow, faiss and onnxruntime, and nothing of
Nightjar: what was judged in the night is what a consumer serves. Its modules import each other relatively, so it works
under any name.
"""

from typing import TYPE_CHECKING, Any

from .errors import BundleError

if TYPE_CHECKING:
    from .lists import Result
    from .release import Bundle

__all__ = ["Bundle", "BundleError", "Result"]


def __getattr__(name: str) -> Any:
    """What takes faiss and onnxruntime comes when it is asked for: settings read the table of systems without them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .lists import Result
    from .release import Bundle

    return {"Bundle": Bundle, "Result": Result}[name]
