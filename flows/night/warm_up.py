"""What is slow to start, begun while something else goes on: Spark, Great Expectations, MLflow."""

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from expectations.datasets import DATASETS
from tasks.engine.running import Night
from tasks.engine.stage import Step


@dataclass
class WarmUp:
    """Begun once, for the first of the nights that share a process; each waits for it before its first step."""

    _threads: list[threading.Thread] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, night: Night, steps: Iterable[Step]) -> None:
        """Start Spark and import what is slow to import, as far as steps that do not stand will need it."""
        with self._lock:
            if self._threads is None:
                self._threads = _start(night, steps)

    def wait(self) -> None:
        """SQLAlchemy fails when one thread sets up its mappers while another still imports MLflow's."""
        for thread in self._threads or ():
            thread.join()


def _start(night: Night, steps: Iterable[Step]) -> list[threading.Thread]:
    missing = {s.name: s.stage for s in steps if night.misses(s)}
    jobs: list[Callable[[], Any]] = []
    threads: list[threading.Thread] = []
    if any("pyspark" in stage.libraries for stage in missing.values()):
        from tasks.stages.spark import start_in_background

        start_in_background(night.resources, night.home)
    if any(DATASETS[name].is_table for stage in missing.values() for name in stage.produces):
        from tasks.engine.audit import warm_up

        jobs.append(warm_up)
    if "release" in missing:
        jobs.append(partial(reach_registry, night))
    for job in jobs:
        thread = threading.Thread(target=_quietly(job), daemon=True)
        thread.start()
        threads.append(thread)
    return threads


def reach_registry(night: Night) -> None:
    """Import MLflow and make its tables, where there are none."""
    # MLflow's import sets up the SQLAlchemy mappers of whatever is imported by then, and fails for good when these are
    # Prefect's, half imported by the thread that starts the flow, as happens where Prefect has no server yet.
    if not os.environ.get("PREFECT_API_URL"):
        from flows.service.prefect_internals import set_up_mappers

        set_up_mappers()

    from tasks.registry.registry import Registry

    Registry(night.home, night.resources.registry).experiment_id()


def _quietly(job: Callable[[], Any]) -> Callable[[], None]:
    """A warm-up that fails says nothing: the stage that needs it meets the same error and explains it."""

    def run() -> None:
        with suppress(Exception):
            job()

    return run
