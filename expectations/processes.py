"""Ending processes."""

import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

KILLED_WITHIN_S = 5.0
"""How long a process that is killed may take to be gone, while it waits for a disk, say."""


def end(processes: Sequence[psutil.Process], patience_s: float) -> None:
    """End processes, and wait for that: asked to, and killed when they have not ended in time.

    Args:
        patience_s: none kills them at once, unasked.
    """
    if patience_s > 0:
        for process in processes:
            with suppress(psutil.Error):
                process.terminate()
    _wait(processes, patience_s)
    stubborn = [process for process in processes if _lives(process)]
    for process in stubborn:
        with suppress(psutil.Error):
            process.kill()
    _wait(stubborn, KILLED_WITHIN_S)


def _wait(processes: Sequence[psutil.Process], patience_s: float) -> None:
    until = time.monotonic() + patience_s
    while any(map(_lives, processes)) and time.monotonic() < until:
        time.sleep(0.02)


def _lives(process: psutil.Process) -> bool:
    """Whether it has not ended; a zombie has, its parent has only not looked."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
