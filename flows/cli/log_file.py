"""The log of a command: what its libraries say, which nobody needs on the terminal."""

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

from flows.service.rotation import MAX_LOG_BYTES


def log_to(path: Path) -> None:
    """Send what libraries say to a file, which does not grow without bound while a server is away, say."""
    # A log that cannot be written, on a full disk say, must not hide the message that says so.
    logging.raiseExceptions = False
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        handlers=[RotatingFileHandler(path, maxBytes=MAX_LOG_BYTES, backupCount=1)],
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        force=True,
    )
