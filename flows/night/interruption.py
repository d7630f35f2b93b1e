"""What happens when a run is told to end: it writes down how far it came, and the process ends now.

Ended by somebody, it was cancelled and has not failed: in the records, and in Prefect.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from expectations.errors import Failure
from flows.service.api import Api
from flows.service.prefect_internals import FLOW_RUN
from tasks.machine.processes import end_children

ANSWER_S = 3.0
"""For Prefect's server; whoever ends a run does not wait for it."""


def leave_at_once_when_told(note: Callable[[str], bool | None], flow_runs: Callable[[], Iterable[str]]) -> None:
    """Ctrl-C and SIGTERM end the process now, after `note`: waiting for stages is no use, what is published stands.

    Set inside a flow because Prefect sets a handler of its own when a flow begins; a night in a thread has no say.

    Args:
        note: writes down what was under way, given the signal's name; returns whether somebody has cancelled that.
        flow_runs: ids of the process's flow runs; Prefect is told that they were cancelled or, by a mere SIGTERM,
            lost. A run that a worker has started is the worker's to tell.
    """

    def leave(number: int, frame: object) -> None:
        is_cancelled = number == signal.SIGINT
        with suppress(OSError, Failure):
            is_cancelled |= bool(note(signal.Signals(number).name))
        if not os.environ.get(FLOW_RUN):
            _tell_prefect(list(flow_runs()), is_cancelled, signal.Signals(number).name)
        sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # threads whose JVM goes away would print tracebacks
        end_children()
        sys.stdout.flush()
        os._exit(128 + number)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, leave)
        signal.signal(signal.SIGTERM, leave)


def is_cancelled_in_prefect(flow_run: str) -> bool:
    """Whether somebody has cancelled a flow run, in Prefect's UI say; False where nobody can be asked."""
    with suppress(Exception):
        return _api().call(f"/flow_runs/{flow_run}")["state_type"] in ("CANCELLING", "CANCELLED")
    return False


def _tell_prefect(flow_runs: Iterable[str], is_cancelled: bool, signal_name: str) -> None:
    state = ("CANCELLED", "Cancelled") if is_cancelled else ("CRASHED", "Crashed")
    with suppress(Exception):
        for id_ in flow_runs:
            _api().set_state(id_, *state, f"its process was ended ({signal_name}); what was published stands")


def _api() -> Api:
    return Api(os.environ["PREFECT_API_URL"], os.environ.get("PREFECT_API_AUTH_STRING", ""), ANSWER_S)
