"""Servers in processes of their own, on loopback, ended with the test that started them."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(folder: Path, *module: str, **environment: str) -> Iterator[None]:
    """A server in a process of its own, ended with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *module], cwd=ROOT, stdout=log, stderr=log, env={**os.environ, **environment}
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(400)


def wait_for(url: str, timeout_s: float = 240) -> None:
    until = time.monotonic() + timeout_s
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except OSError:
            assert time.monotonic() < until, f"nobody answers at {url}"
            time.sleep(0.2)
