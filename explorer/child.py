"""One night, or its data alone, in a process of its own: `python -m explorer.child FOLDER`.

`FOLDER/request.json` says what to run; what happens is told line by line in `FOLDER/events.jsonl`. A process of its
own can be ended at any moment, and leaves the explorer what it was: the night's libraries stay out of it.
"""

import json
import logging
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from expectations.errors import Failure, UserError
from expectations.files import read_json
from flows.config import check_config
from flows.home import home_folder, prepare
from flows.service.own_server import start_server
from tasks.engine.running import Outcome, Watcher
from tasks.engine.stage import Step
from tasks.machine.home import lake_of

REQUEST, EVENTS, ERROR = "request.json", "events.jsonl", "error.txt"


class Teller(Watcher):
    """Writes what happens to a file, one JSON object a line."""

    def __init__(self, file: Path) -> None:
        self.file, self._lock = file, threading.Lock()

    def tell(self, **event: Any) -> None:
        """Add a line."""
        with self._lock, self.file.open("a") as file:
            file.write(json.dumps(event) + "\n")

    def started(self, step: Step, missing: int) -> None:
        self.tell(step=step.name, state="running", what=f"{missing} of {len(step.cells)} days" * (len(step.cells) > 1))

    def progressed(self, step: Step, done: int, total: int, what: str) -> None:
        self.tell(step=step.name, done=done, total=total, what=what)

    def finished(self, outcome: Outcome) -> None:
        self.tell(step=outcome.step, state=outcome.state, seconds=outcome.seconds, rows=outcome.rows, what="", total=0)

    def failed(self, step: Step, error: BaseException) -> None:
        self.tell(step=step.name, state="failed", what=str(error)[:300])


def main(folder: Path) -> int:
    """Run what the request says; returns the exit code, an error stands in `FOLDER/error.txt`."""
    request, home = read_json(folder / REQUEST), home_folder()
    prepare(home)
    start_server(home)
    try:
        _run(request, home, Teller(folder / EVENTS))
    except (UserError, Failure) as error:
        (folder / ERROR).write_text(str(error))
        return 1
    return 0


def _run(request: dict[str, Any], home: Path, teller: Teller) -> None:
    from flows.night.records import folder as run_folder
    from flows.night.request import NightRequest
    from flows.night.run import run
    from flows.nightly import plan_request

    config = check_config(request["settings"], "settings")
    night = NightRequest(
        # Settings start from the last run's, wherever that released to; this night is for those who look at this home.
        config=replace(config, resources=replace(config.resources, registry="")),
        date=None,
        lake=lake_of(home),
        stages=tuple(request["stages"]),
        config_name=request["config"],
        overrides=tuple(request["overrides"]),
    )
    plan = plan_request(night, home)
    log = run_folder(home, night.id) / "log.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=log, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    teller.tell(run=night.id, log=str(log), steps=[step.name for step in plan.steps])
    summary = run(night, plan, home, teller)
    teller.tell(version=summary.get("version"), decision=summary.get("gates", {}).get("decision", ""))


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    # Idle threads of Prefect and Spark would only delay the end.
    import os

    os._exit(code)
