"""Several questions at once, each with a time limit: what hangs is left behind, and the others are heard."""

import atexit
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

QUESTION = "question"
"""Name of the threads that ask."""


class Unanswered(Exception):
    """A question that nobody has answered in time."""


def ask_side_by_side(questions: Mapping[str, Callable[[], Any]], limit_s: float) -> dict[str, Any]:
    """What each question is answered, by its name: what it returns, the error that it raises, or `Unanswered`.

    A thread that hangs in a library cannot be ended. It is left to itself, and does not hold up a command's end
    (`leave_behind`).
    """
    answers: dict[str, Any] = {}

    def ask(name: str, question: Callable[[], Any]) -> None:
        try:
            answers[name] = question()
        except Exception as error:
            answers[name] = error

    threads = [threading.Thread(target=ask, args=asked, name=QUESTION, daemon=True) for asked in questions.items()]
    for thread in threads:
        thread.start()
    until = time.monotonic() + limit_s
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0))
    heard = dict(answers)
    return {name: heard.get(name, Unanswered(f"no answer within {limit_s:g} s")) for name in questions}


def leave_behind() -> None:
    """Have the end of this process not wait for an object store that hangs, as PyArrow does for a minute and a half."""
    hangs = any(thread.name == QUESTION for thread in threading.enumerate())
    if hangs and (file_systems := sys.modules.get("pyarrow.fs")):
        atexit.unregister(file_systems.ensure_s3_finalized)
