"""A real PostgreSQL for tests."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers import free_port


@dataclass
class Postgres:
    """A PostgreSQL on loopback with a cluster of its own, run by a user who is not root; as a text its URL."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def __str__(self) -> str:
        return f"postgresql://night:se%3Acret%2F1@127.0.0.1:{self.port}"

    def make(self) -> None:
        if self.common["user"]:
            subprocess.run(["chown", self.common["user"], self.folder], check=True)
        (self.folder / "password").write_text("se:cret/1\n")
        (self.folder / "password").chmod(0o644)
        options = ["-E", "UTF8", "-U", "night", "-A", "scram-sha-256", f"--pwfile={self.folder / 'password'}"]
        made = [str(self.programs / "initdb"), "-D", str(self.folder / "data"), *options]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, **self.common)

    def start(self) -> None:
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        command += ["-h", "127.0.0.1", "-k", "", "-F"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.common)
        until = time.monotonic() + 180
        while not self._answers():
            assert time.monotonic() < until, "PostgreSQL does not answer"
            time.sleep(0.1)

    def _answers(self) -> bool:
        call = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return not subprocess.run(call, check=False).returncode

    def stop(self) -> None:
        """At once, whoever is connected."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(400)
            self.process = None

    @property
    def programs(self) -> Path:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        assert found, "PostgreSQL is needed: apt-get install postgresql"
        return found[-1]

    @property
    def common(self) -> dict[str, Any]:
        user = "postgres" if os.geteuid() == 0 else None
        return {"user": user, "cwd": "/", "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    # Not below the tests' own folder, which is its owner's alone.
    with tempfile.TemporaryDirectory(prefix="nightjar-postgres-", dir="/tmp") as folder:
        server = Postgres(Path(folder), free_port())
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()
