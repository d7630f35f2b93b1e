"""What `flows/python_internals.py` relies on is still there in the Python that runs."""

import subprocess
import sys
from pathlib import Path

BUSY = """
import atexit, threading
from flows.python_internals import leave_without_waiting

atexit.register(print, "called", flush=True)
threading.Thread(target=threading.Event().wait).start()
leave_without_waiting(3)
"""


def test_a_process_leaves_at_once_and_what_was_registered_is_called():
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", BUSY], cwd=root, capture_output=True, text=True, timeout=120)
    told = f"another Python: see flows/python_internals.py; to look at: atexit._run_exitfuncs\n{done.stderr}"
    assert (done.returncode, done.stdout) == (3, "called\n"), told
