"""Lakes for tests: on a local folder, and on a real S3 API on loopback."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tasks.engine.lake import MANIFEST, Lake, Ref


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket on moto's server, which speaks the S3 protocol."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path_factory.mktemp("moto") / "log").open("w")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
                break
            except OSError:
                time.sleep(0.2)
        request = urllib.request.Request(f"http://127.0.0.1:{port}/lakes", method="PUT")
        urllib.request.urlopen(request, timeout=60)
        yield f"s3://lakes/night?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
    finally:
        server.terminate()
        server.wait(400)


@pytest.fixture(params=["folder", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    if request.param == "folder":
        return Lake(str(tmp_path / "lake"), tmp_path / "scratch")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    url = request.getfixturevalue("s3_url").replace("/night", f"/{tmp_path.name}")
    return Lake(url, tmp_path / "scratch")


def publish(lake: Lake, ref: Ref, inputs: Iterable[Ref] = ()) -> Ref:
    """An artifact without rows, made of others."""
    folder = lake.aside()
    (folder / MANIFEST).write_text(json.dumps({"files": {}, "inputs": {"parts": [one.folder for one in inputs]}}))
    lake.publish(ref, folder)
    return ref


def edit(lake: Lake, ref: Ref, name: str, change: Callable[[bytes], bytes | None]) -> None:
    """Change a file of an artifact where the lake keeps it; None deletes it."""
    edit_file(lake, f"{ref.folder}/{name}", change)


def edit_file(lake: Lake, name: str, change: Callable[[bytes], bytes | None]) -> None:
    """The same of any file of the lake, by its path below it; where there is none it is made."""
    store, root = lake._store
    path = f"{root}/{name}"
    there = store.get_file_info(path).is_file
    new = change(store.open_input_stream(path).read() if there else b"")
    if new is None:
        return store.delete_file(path)
    with store.open_output_stream(path) as stream:
        stream.write(new)
    return None
