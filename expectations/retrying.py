"""Doing again what fails for the moment."""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def retrying(
    work: Callable[[], T], waits_s: Iterable[float], errors: type[Exception] | tuple[type[Exception], ...]
) -> T:
    """Do something, and again after each of these pauses while it fails so; gives what it gives, or its last error."""
    for wait_s in waits_s:
        try:
            return work()
        except errors:
            time.sleep(wait_s)
    return work()
