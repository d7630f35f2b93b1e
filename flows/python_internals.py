"""The one door to what Python keeps to itself: the functions that are to be called when a process ends.

That it is still there and still does what is relied on, `tests/flows/test_python_internals.py` checks.
"""

import atexit
import os
from typing import NoReturn


def leave_without_waiting(code: int) -> NoReturn:
    """End this process with an exit code: what was registered for its end is called, and no thread waited for.

    `sys.exit` waits for the threads of others before it calls anything, and `os._exit` calls nothing. To look at:
    `atexit._run_exitfuncs` in `Modules/atexitmodule.c`; it has been there since Python 3.0 (here 3.11 and 3.12).
    """
    atexit._run_exitfuncs()
    os._exit(code)
