"""What the nights that run in one process share: room for their steps, the memory meter, what was looked at whole."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from tasks.engine.lake import Ref
from tasks.engine.stage import Stage
from tasks.machine.config import ResourcesConfig
from tasks.machine.memory import Meter


class Admission:
    """Lets steps run side by side while their declared memory and threads fit the resources."""

    def __init__(self, resources: ResourcesConfig) -> None:
        self._free_gib, self._free_threads = resources.memory_gib, resources.threads
        self._memory_gib, self._threads = resources.memory_gib, resources.threads
        self._changed = threading.Condition()

    @contextmanager
    def admit(self, stage: Stage) -> Iterator[None]:
        """Wait for room; a stage that asks for more than there is gets all there is."""
        memory, threads = min(stage.memory_gib, self._memory_gib), min(stage.threads, self._threads)
        with self._changed:
            self._changed.wait_for(lambda: self._free_gib >= memory and self._free_threads >= threads)
            self._free_gib -= memory
            self._free_threads -= threads
        try:
            yield
        finally:
            with self._changed:
                self._free_gib += memory
                self._free_threads += threads
                self._changed.notify_all()


@dataclass
class Machine:
    """Shared by all nights of one process.

    Attributes:
        whole: artifacts whose files this process has compared with their hashes; a backfill reads each day of a log
            for many nights and hashes it once.
        made: when this process published what it has made, seconds since 1970 by its own clock.
    """

    resources: ResourcesConfig
    meter: Meter = field(default_factory=Meter)
    whole: set[Ref] = field(default_factory=set)
    made: dict[Ref, float] = field(default_factory=dict)

    @cached_property
    def admission(self) -> Admission:
        return Admission(self.resources)
