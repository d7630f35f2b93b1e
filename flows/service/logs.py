"""The last lines of the service's logs, and those to come."""

import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from expectations.errors import UserError
from expectations.passwords import redacted
from flows.service.rotation import set_aside
from flows.service.state import folder


def tail(home: Path, service: str | None, lines: int, follow: bool) -> Iterator[str]:
    """Lines of one service's log, or of all with their name in front.

    Raises:
        UserError: nothing has been started under that name.
    """
    logs = {p.stem: p for p in sorted((folder(home) / "logs").glob("*.log"))}
    if service is not None and service not in logs:
        there = f"there are: {', '.join(logs)}" if logs else "nothing was started; start with: nightjar up"
        raise UserError(f"no log of {service!r}; {there}")
    chosen = {service: logs[service]} if service else logs
    width = max(map(len, chosen), default=0)
    ends = {name: _End(path) for name, path in chosen.items()}
    for name, end in ends.items():
        for line in deque(end.all(), maxlen=lines):
            yield f"{name:<{width}}  {redacted(line.rstrip())}"
    while follow:
        quiet = True
        for name, end in ends.items():
            for line in end.more():
                quiet = False
                yield f"{name:<{width}}  {redacted(line.rstrip())}"
        if quiet:
            time.sleep(0.3)


class _End:
    """A log that is read on while it grows, over the moments at which it is set aside and begun anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open(errors="replace")
        self._part = ""

    def all(self) -> Iterator[str]:
        """Every line there is, those of the log before it first."""
        with suppress(FileNotFoundError), set_aside(self.path).open(errors="replace") as before:
            yield from before
        yield from self.more()

    def more(self) -> Iterator[str]:
        """Lines that were added; one that is not finished yet waits for its end."""
        # Looked at first: what was still written to the old log is read before the new one is.
        is_new = self._is_another()
        yield from self._lines()
        if is_new:
            # More than one may have been begun: the one before is read, too, unless that is what was open.
            with suppress(FileNotFoundError):
                before = set_aside(self.path).open(errors="replace")
                same = os.path.samestat(os.fstat(before.fileno()), os.fstat(self._file.fileno()))
                self._file.close() if not same else before.close()
                if not same:
                    self._file = before
                    yield from self._lines()
            self._file.close()
            self._file = self.path.open(errors="replace")
            yield from self._lines()

    def _is_another(self) -> bool:
        try:
            return not os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:  # this very moment
            return False

    def _lines(self) -> Iterator[str]:
        for line in self._file:
            self._part += line
            if self._part.endswith("\n"):
                whole, self._part = self._part, ""
                yield whole
