"""A release for tests: a made bundle and its lists, registered as a night registers them, in a store of any kind."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
from click.testing import CliRunner
from mlflow.cli import gc

from benchmarks.made_bundle import foundation_tables, make_bundle, make_tables
from models.runtime import Bundle
from models.serving import export
from models.serving.config import PipelineConfig
from models.serving.sources import ReleaseSource
from tasks.engine.content_digest import file_sha256
from tasks.engine.stage import plain
from tasks.registry.registry import Registry, Version
from tasks.registry.release_layout import MANIFEST_TAG

ROOT = Path(__file__).resolve().parents[2]


def make_release(folder: Path, num_users: int = 40, num_items: int = 150, seed: int = 0) -> Path:
    """A bundle with the lists of all its users."""
    tables = make_tables(num_users, num_items, seed=seed) | foundation_tables(num_users, num_items, seed=seed)
    near = {"source_neighbours": tables["item_similarity"]}
    source = ReleaseSource("mine", "neighbours", tuple(near), tables=near)
    bundle = make_bundle(folder, tables, plain(PipelineConfig()), sources=[source])
    table = Bundle(bundle, threads=2).recommend(range(num_users)).table
    (lists := bundle / "recommendations").mkdir()
    pq.write_table(table, lists / "part-00000.parquet")
    known = json.loads((bundle / "manifest.json").read_text())
    export.write_manifest(bundle, export.facts_of(known))
    return bundle


def register(registry: Registry, made: Path, date: str = "2026-03-01") -> Version:
    digest = file_sha256(made / "manifest.json")
    registry.publish(digest, made, date, {}, {}, {"nightjar.date": date, MANIFEST_TAG: digest})
    registry.follow("candidate")
    return registry.versions()[0]


def delete_for_good(registry: Registry, run_id: str) -> None:
    """Delete an MLflow run as `mlflow gc` does."""
    registry.client.delete_run(run_id)
    places = ("--backend-store-uri", registry.uri, "--tracking-uri", registry.uri)
    done = CliRunner().invoke(gc, [*places, "--run-ids", run_id])
    assert done.exit_code == 0, done.output


def stored(folder: Path) -> dict[str, Path]:
    """Files of the only version below a folder of artifacts, by their place in the bundle."""
    (root,) = {p.parent for p in folder.rglob("bundle/manifest.json")}
    return {p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file()}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.name != ".pulled.json"
    }


@dataclass
class Faulty:
    """A proxy on loopback before another server, which spoils answers when it is told to.

    Attributes:
        faults: part of a path -> what happens to the next GETs of it: `500`, `reset`, `truncate`.
        always: what happens to every request until it is emptied: `500` and `503` refuse it, `slow` keeps it for two
            seconds, `reset` ends the connection when it has been done.
        got: path of every GET that was passed on whole.
    """

    upstream: int
    port: int = 0
    faults: dict[str, list[str]] = field(default_factory=dict)
    always: str = ""
    got: list[str] = field(default_factory=list)

    def fault_of(self, path: str) -> str:
        for part, faults in self.faults.items():
            if part in path and faults:
                return faults.pop(0) if faults[0] != "always" else faults[1]
        return ""

    @contextmanager
    def running(self) -> Iterator["Faulty"]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def body(self) -> bytes:
                """What came with the request, also where it comes in chunks, as from an AWS SDK."""
                if self.headers.get("Transfer-Encoding", "") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                chunks = []
                while size := int(self.rfile.readline().partition(b";")[0] or b"0", 16):
                    chunks.append(self.rfile.read(size))
                    self.rfile.readline()
                while self.rfile.readline().strip():
                    pass
                del self.headers["Transfer-Encoding"]
                self.headers["Content-Length"] = str(sum(map(len, chunks)))
                return b"".join(chunks)

            def answer(self) -> None:
                body = self.body()
                always = proxy.always
                if always.isdecimal():
                    self.send_response(int(always))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if always == "slow":
                    time.sleep(2)
                there = HTTPConnection("127.0.0.1", proxy.upstream, timeout=400)
                there.request(self.command, self.path, body, dict(self.headers))
                response = there.getresponse()
                data = response.read()
                fault = proxy.fault_of(self.path) if self.command == "GET" else ""
                if "reset" in (fault, always):
                    self.connection.close()
                    self.close_connection = True
                    return
                self.send_response(500 if fault == "500" else response.status)
                for name, value in response.getheaders():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                length = response.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data[: len(data) // 2] if fault == "truncate" else data)
                if fault == "truncate":
                    self.close_connection = True
                elif self.command == "GET" and not fault:
                    proxy.got.append(self.path)

            do_GET = do_PUT = do_POST = do_PATCH = do_HEAD = do_DELETE = answer

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


def replace(path: Path, data: bytes) -> None:
    """Write other bytes where a link or a copy of the old ones may be."""
    aside = path.with_name(path.name + ".aside")
    aside.write_bytes(data)
    shutil.move(aside, path)
