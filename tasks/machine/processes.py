"""Who owns what a run leaves on the machine, so that the next run can clear up after one that was killed.

A run tags itself and everything that it starts (environment variable `NIGHTJAR_OWNER`) with its process id and the
moment that process began, which together name a process for good. What carries the tag of a dead owner is a leftover.
"""

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

from expectations.processes import end

OWNER = "NIGHTJAR_OWNER"


def owner_tag() -> str:
    """Tag of the run this process belongs to: `<pid>.<started, seconds since 1970>`."""
    return os.environ.get(OWNER) or _tag(psutil.Process())


def claim_ownership() -> str:
    """Tag this process and, through the environment, all its children; leftovers are found by it."""
    os.environ[OWNER] = _tag(psutil.Process())
    return os.environ[OWNER]


def _tag(process: psutil.Process) -> str:
    return f"{process.pid}.{int(process.create_time())}"


@cache
def machine_name() -> str:
    """What processes have in common that see each other's ids: the machine since it was started, and the container."""
    told = [platform.node()]
    with suppress(OSError):
        told += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), str(Path("/proc/self/ns/pid").readlink())]
    return " ".join(told)


def owner_is_alive(tag: str) -> bool:
    """Whether the process that a tag names still runs; one that has ended and that nobody has waited for does not."""
    pid, _, started = tag.partition(".")
    if not (pid.isdigit() and started.isdigit()):
        return False
    try:
        process = psutil.Process(int(pid))
        # The clock that process start times are reckoned from may be corrected by a second.
        return abs(process.create_time() - int(started)) < 2.5 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def leftovers(home: str) -> Iterator[psutil.Process]:
    """Processes of this home whose owner is dead: servers, JVMs and workers of killed runs."""
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            continue
        tag = environment.get(OWNER)
        if tag and environment.get("NIGHTJAR_HOME") == home and not owner_is_alive(tag):
            yield process


def end_leftovers(home: str) -> int:
    """End them, politely and then not; returns how many there were.

    Looks until there are none: a process that was just being started, such as a JVM by Spark's script, shows no
    environment for a moment, and one that is ended may have started another.
    """
    ended = 0
    for _ in range(10):
        found = list(leftovers(home))
        if not found:
            break
        end(found, 3.0)
        ended += len(found)
    return ended


def end_children() -> None:
    """End everything that this process has started."""
    end(psutil.Process().children(recursive=True), 1.0)
