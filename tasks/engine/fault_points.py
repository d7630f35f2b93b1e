"""What tests of killed runs need: places at which a night dies, and a trace of what was computed and published.

`NIGHTJAR_FAULT=<stage>:<place>` ends the process without warning when it gets there. Places: `begin`, `progress`,
`computed` (all written aside), `audited` (about to publish), `published` (the first of its datasets).
`NIGHTJAR_HANG=<stage>:<place>` has it hang there instead, as a library does that waits and keeps Python's lock.
"""

import ctypes
import os
import signal
import time


def point(name: str) -> None:
    """Die here, like a machine that loses power, or hang, when the environment asks for it."""
    if os.environ.get("NIGHTJAR_FAULT") == name:
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ.get("NIGHTJAR_HANG") == name:
        while True:
            ctypes.PyDLL(None).pause()


def trace(what: str, folder: str) -> None:
    """Add a line `seconds what folder` to the file that `NIGHTJAR_TRACE` names, if it names one."""
    path = os.environ.get("NIGHTJAR_TRACE")
    if path:
        line = f"{time.time():.3f} {what} {folder}\n".encode()
        # One write at the end of the file: whole lines, also from several processes.
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, line)
        os.close(file)
