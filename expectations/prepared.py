"""What `make setup` prepares once for every home; it lies with the installation that it belongs to."""

import os
import sys
from pathlib import Path


def prepared(name: str) -> Path:
    """Where a prepared file or folder lies, if set-up made it; everything works without, only slower.

    `NIGHTJAR_PREPARED` names another folder, such as an empty one to do without.
    """
    return Path(os.environ.get("NIGHTJAR_PREPARED") or Path(sys.prefix) / "share" / "nightjar") / name
