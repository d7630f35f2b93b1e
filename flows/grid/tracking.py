"""Tells MLflow of a sweep while it runs: a thread of its own logs what has been judged, so the sweep does not wait."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flows.grid.results import Judged
from flows.grid.state import Sweep
from tasks.registry.registry import Registry
from tasks.registry.sweep_runs import Logged, begin_parent, end_parent, is_there, log_children


class Tracker:
    """Logs each configuration once, also over several runs of the same sweep."""

    def __init__(self, sweep: Sweep, registry: Registry) -> None:
        self.sweep, self.registry = sweep, registry
        self._queue: queue.Queue[Judged | None] = queue.Queue()
        self._error: Exception | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Log in the background; at the end wait until all is logged.

        Raises:
            Exception: MLflow's, when it refused a configuration; the sweep's own results stand.
        """
        thread = threading.Thread(target=self._log, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._queue.put(None)
            thread.join()
        if self._error:
            raise self._error

    def add(self, row: Judged) -> None:
        """Log a configuration soon, unless an earlier run did in this registry."""
        self._queue.put(row)

    def _log(self) -> None:
        try:
            self._log_all()
        except Exception as error:
            self._error = error

    def _log_all(self) -> None:
        ids, began = self.sweep.mlflow, ""
        if ids and not is_there(self.registry, ids.get("", "")):
            ids.clear()
        while row := self._queue.get():
            if row.trial.row.name in ids:
                continue
            if not began:
                began = ids.get("") or begin_parent(self.registry, f"grid {self.sweep.id}", {"grid": self.sweep.id})
                ids[""] = began
            name, params = row.trial.row.name, {"sweep": row.sweep, **row.trial.row.chosen}
            (ids[name],) = log_children(self.registry, began, [Logged(name, params, row.figures, row.error)])
            self.sweep.save()
        if began:
            best = {f"best_{name}": float(value) for name, value in self.sweep.best.get("figures", {}).items()}
            end_parent(self.registry, began, best, failed=bool(self.sweep.error))
