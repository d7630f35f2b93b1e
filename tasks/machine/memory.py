"""Resident memory of the process tree, sampled while a run goes on."""

import threading
from contextlib import suppress
from types import TracebackType

import psutil

INTERVAL_S = 0.25


class Meter:
    """Samples this process and everything below it; `peak_since` answers for any span of marks.

    Use as a context manager around a run; runs side by side share one.
    """

    def __init__(self) -> None:
        self._samples: list[int] = [tree_bytes()]
        self._stop = threading.Event()
        self._users = 0
        self._lock = threading.Lock()

    def __enter__(self) -> "Meter":
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._stop.clear()
                threading.Thread(target=self._sample, name="memory", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._stop.set()

    def mark(self) -> int:
        """A place in time to ask `peak_since` about."""
        return len(self._samples)

    def peak_since(self, mark: int = 0) -> int:
        """Largest number of bytes seen since a mark."""
        return max(self._samples[mark:], default=self._samples[-1])

    def _sample(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self._samples.append(tree_bytes())


def tree_bytes() -> int:
    """Resident bytes of this process and all its descendants."""
    process = psutil.Process()
    total = 0
    for one in [process, *process.children(recursive=True)]:
        with suppress(psutil.Error):
            total += int(one.memory_info().rss)
    return total
