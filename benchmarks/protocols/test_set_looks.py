"""How often a test set has been looked at. Whoever looks often chooses by it, and its figures no longer say what they
seem to: the count stands beside them.
"""

import json
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = "test-sets"


def look(home: Path, digest: str, facts: dict[str, Any]) -> int:
    """Write down one more look at a test set; returns how many there have been in this home, this one included.

    Safe among processes: a look is one line, written at once to the end of the test set's own file.

    Args:
        digest: of the test set's content, so that another name or folder is no other test set.
        facts: who looked, such as protocol, model and seed.
    """
    path = home / FOLDER / f"{digest[:32]}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex
    line = json.dumps({"look": mark, "at": datetime.now(UTC).isoformat(timespec="seconds"), **facts}) + "\n"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
    lines = path.read_text().splitlines()
    return 1 + next(place for place, one in enumerate(lines) if mark in one)
