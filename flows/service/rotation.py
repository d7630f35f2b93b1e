"""Keeps the log that a process writes to from growing without bound, while it is written.

    python -m flows.service.rotation MODULE ARGUMENTS

is `python -m MODULE ARGUMENTS` whose output goes to a log, as it does for the servers and workers of the service, and
which hears an interrupt. The log is set aside under another name, and the output goes to a new one from one moment to
the next: not a line is lost. A thread of the process itself sees to that, so that nothing else has to run.
"""

import os
import runpy
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

MAX_LOG_BYTES = 10 * 2**20
"""Of a log, and of the one before it."""
LOOK_S = 0.5
OUTPUTS = (1, 2)
"""Descriptors of standard output and error."""


def set_aside(path: Path) -> Path:
    """Where a log goes that has grown large."""
    return path.with_name(path.name + ".1")


def bound_output(most_bytes: int = MAX_LOG_BYTES) -> None:
    """From now on, whenever the file that this process writes its output to has grown larger, begin a new one."""
    try:
        path = Path(f"/proc/self/fd/{OUTPUTS[0]}").readlink()
    except OSError:  # no such view of processes here; the next start looks at the size
        return
    if path.is_file():
        threading.Thread(target=_look, args=(path, most_bytes), name="log", daemon=True).start()


def _look(path: Path, most_bytes: int) -> None:
    while True:
        with suppress(OSError):
            if os.fstat(OUTPUTS[0]).st_size > most_bytes:
                rotate(path)
        time.sleep(LOOK_S)


def rotate(path: Path) -> None:
    """Set the log aside and go on in a new one. What is written in between goes to the end of the one set aside.

    Where another process that writes to the same log has done so already, only the latter.
    """
    if path.exists() and os.path.samestat(path.stat(), os.fstat(OUTPUTS[0])):
        path.replace(set_aside(path))
    new = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        for output in OUTPUTS:
            os.dup2(new, output)
    finally:
        os.close(new)


if __name__ == "__main__":
    bound_output()
    # What a script starts in the background is born deaf to it, and Prefect's worker ends itself by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
