"""Which Prefect server a command uses: the service's when it runs, else one that Prefect starts for it alone."""

import os
from pathlib import Path

from flows.service.http import answers
from flows.service.state import load


def connection(home: Path) -> dict[str, str]:
    """Variables that lead a command to the service of this home; none when it does not answer.

    A server that the environment names already is the user's own choice.
    """
    if os.environ.get("PREFECT_API_URL"):
        return {}
    record = load(home, "prefect")
    if record is None or record.process() is None or not answers(f"{record.url}/api/health"):
        return {}
    return {"PREFECT_API_URL": f"{record.url}/api"}


def authentication(home: Path) -> str:
    """`user:password` of both servers; empty when they ask for none."""
    return ""
