"""Whatever goes wrong in a page becomes one clear message in it, and never a traceback."""

import functools
import logging
from collections.abc import Callable
from typing import Any

from markupsafe import escape

from expectations.errors import Failure, UserError
from explorer.pages import message, page
from explorer.theme import gr

LOG = logging.getLogger("explorer")


def guarded(num_outputs: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate what fills `num_outputs` pieces of page: on an error the first says what is wrong, others are empty."""

    def decorate(fill: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fill)
        def told(*arguments: Any) -> Any:
            try:
                return fill(*arguments)
            except Exception as error:
                said = page(message(words(error)))
                warn(words(error))
                return said if num_outputs == 1 else [said, *[""] * (num_outputs - 1)]

        return told

    return decorate


def warn(text: str) -> None:
    """Show a warning above the page, which gradio takes for HTML."""
    gr.Warning(str(escape(text)))


def words(error: Exception) -> str:
    """An error in one sentence; what nobody foresaw goes to the log in full."""
    if isinstance(error, UserError | Failure):
        return str(error)
    LOG.error("unexpected", exc_info=error)
    return f"unexpected {type(error).__name__}: {error}"
