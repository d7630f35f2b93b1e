"""Locks between processes, on files: the operating system's, gone with their holder however it ends."""

import fcntl
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from filelock import FileLock


def lock(path: Path, wait_s: float = -1.0) -> AbstractContextManager[Any]:
    """Take the lock of a file, which is made where there is none, and give what gives it back (`with`).

    Args:
        wait_s: for another holder, who may be a thread of this process; for ever when negative.

    Raises:
        filelock.Timeout: another holds it still.
    """
    # The library would take a file's being there for a lock on file systems that have none: that outlives a kill.
    return FileLock(path, thread_local=False, fallback_to_soft=False).acquire(timeout=wait_s)


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock of a file or folder.

    By hand, as `filelock` has no shared lock that the system keeps.

    Whoever asked by taking the lock itself would be taken for its holder by the next who asks.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
