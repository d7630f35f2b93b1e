"""How whatever takes long tells how far it has come."""

from collections.abc import Callable

OnProgress = Callable[[int, int, str], None]
"""Called with work done, work in all, and what is being done."""
