"""Real processes are ended: those that listen, those that do not, and those that have ended already."""

import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil

from expectations.processes import end

LISTENS = "import sys; print('there', flush=True); sys.stdin.read()"
LEAVES = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); " + LISTENS
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + LISTENS
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", ""])
print(child.pid, flush=True)
sys.stdin.read()  # and never waits for it
"""


@contextmanager
def running(code):
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def test_who_listens_ends_as_it_wants_to():
    with running(LEAVES) as (process, _):
        end([psutil.Process(process.pid)], 300)
        assert process.wait() == 7


def test_who_does_not_listen_is_killed():
    with running(STUBBORN) as (stubborn, _), running(LISTENS) as (other, _):
        end([psutil.Process(stubborn.pid), psutil.Process(other.pid)], 0.5)
        assert stubborn.wait() == -signal.SIGKILL and other.wait() == -signal.SIGTERM


def test_without_patience_nobody_is_asked():
    with running(LEAVES) as (process, _):
        end([psutil.Process(process.pid)], 0)
        assert process.wait() == -signal.SIGKILL


def test_who_has_ended_is_not_waited_for():
    with running(PARENT) as (_, pid):
        zombie = psutil.Process(int(pid))
        while zombie.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.02)
        gone = subprocess.Popen([sys.executable, "-c", LISTENS], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        known = psutil.Process(gone.pid)
        gone.communicate()
        end([zombie, known], 10**9)  # would wait for ever
        assert zombie.status() == psutil.STATUS_ZOMBIE
