"""What runs: one small JSON a service in `<home>/service/`, and the operating system's word on whether it is true."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from filelock import Timeout

from expectations.files import write_json
from expectations.locks import lock
from expectations.records import checked, read_record
from flows.service.rotation import MAX_LOG_BYTES, set_aside

Say = Callable[[str], None]
"""Tells the user one line."""


def folder(home: Path) -> Path:
    return home / "service"


def log_file(home: Path, name: str) -> Path:
    return folder(home) / "logs" / f"{name}.log"


def open_log(path: Path) -> IO[bytes]:
    """A log to write to at its end, for a process to come, which bounds it (`rotation`); a large one is set aside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(set_aside(path))
    return path.open("ab")


@dataclass(frozen=True)
class Record:
    """A service as it was started.

    `started` is the process's start in seconds since 1970, which no later holder of its pid shares; `asked` the port
    that was wanted (0: none in particular), `port` the one that was to be had; `digest` names the settings.
    """

    name: str
    pid: int
    started: float
    asked: int
    port: int
    url: str
    command: list[str]
    digest: str

    @property
    def health_url(self) -> str:
        """Where a server answers 200 when it is well; behind no authentication."""
        return self.url + {"prefect": "/api/health", "mlflow": "/health"}[self.name]

    def save(self, home: Path) -> None:
        write_json(_path(home, self.name), asdict(self), private=True)

    def forget(self, home: Path) -> None:
        _path(home, self.name).unlink(missing_ok=True)

    def process(self) -> Any:
        """The living process (psutil), or None when it is gone."""
        import psutil

        found = self._holder_of_pid()
        return found if found and self._is_mine(found) and found.status() != psutil.STATUS_ZOMBIE else None

    def is_anothers(self) -> bool:
        """Whether the pid is another process's now."""
        found = self._holder_of_pid()
        return bool(found and not self._is_mine(found))

    def _holder_of_pid(self) -> Any:
        import psutil

        with suppress(psutil.Error):
            return psutil.Process(self.pid)
        return None

    def _is_mine(self, process: Any) -> bool:
        # The clock that start times are reckoned from may be corrected by a second.
        return bool(abs(process.create_time() - self.started) < 2.5)


def load(home: Path, name: str) -> Record | None:
    """What was started under a name; None when nothing was, or when that is not known any more."""

    def make(values: Any) -> Record:
        record = checked(Record, values)
        if record.name != name:
            raise ValueError(f"it is of {record.name!r}")
        return record

    return read_record(_path(home, name), make, "what ran under it is ended by the next `nightjar up` or `down`")


def load_all(home: Path) -> list[Record]:
    """Every service that was started, in the order in which they depend on each other: servers, then workers."""
    found = [load(home, p.name.removesuffix(".pid.json")) for p in folder(home).glob("*.pid.json")]
    first = {"prefect": 0, "mlflow": 1}
    return sorted(filter(None, found), key=lambda r: (first.get(r.name, 2), len(r.name), r.name))


def _path(home: Path, name: str) -> Path:
    return folder(home) / f"{name}.pid.json"


def digest_of(value: Any) -> str:
    """Hex digest of something that JSON can say."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


@contextmanager
def alone(home: Path, say: Say) -> Iterator[None]:
    """One `up` or `down` at a time in a home; the next one waits. The lock goes with its process, however it ends."""
    folder(home).mkdir(parents=True, exist_ok=True)
    path = folder(home) / "lock"
    try:
        mine = lock(path, wait_s=0)
    except Timeout:
        say("another `nightjar up` or `down` is at work in this home; waiting for it")
        mine = lock(path)
    with mine:
        yield
