"""What happens when a run is told to end: it writes down how far it came, and the process ends now."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from expectations.errors import Failure
from tasks.machine.processes import end_children


def leave_at_once_when_told(note: Callable[[str], None]) -> None:
    """Ctrl-C and SIGTERM end the process now, after `note`: waiting for stages is no use, what is published stands.

    Set inside a flow because Prefect sets a handler of its own when a flow begins; a night in a thread has no say.
    """

    def leave(number: int, frame: object) -> None:
        with suppress(OSError, Failure):
            note(signal.Signals(number).name)
        sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # threads whose JVM goes away would print tracebacks
        end_children()
        sys.stdout.flush()
        os._exit(128 + number)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, leave)
        signal.signal(signal.SIGTERM, leave)
