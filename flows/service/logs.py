"""The last lines of the service's logs, and those to come."""

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from expectations.errors import UserError
from flows.service.state import folder, redacted


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
    opened = {name: path.open(errors="replace") for name, path in chosen.items()}
    for name, file in opened.items():
        for line in deque(file, maxlen=lines):
            yield f"{name:<{width}}  {redacted(line.rstrip())}"
    while follow:
        quiet = True
        for name, file in opened.items():
            for line in file:
                quiet = False
                yield f"{name:<{width}}  {redacted(line.rstrip())}"
        if quiet:
            time.sleep(0.3)
