"""Requests to our own servers: a busy one is asked again, one that says no is quoted."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from expectations.errors import Failure
from flows.service.http import call

LATE = 0
"""Stands for no answer in time."""

PATIENCE_S = 2
"""Long enough for an answer that comes at once, on a machine that is busy."""


class Server(ThreadingHTTPServer):
    """Answers with these codes, one a request; a late answer waits until it is released."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.codes: list[int] = []
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        server: Server

        def do_GET(self):
            code = self.server.codes.pop(0)
            if code == LATE:
                self.server.released.wait(60)
                return
            body = b'{"code": %d}' % code
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *args):
            pass

    with Server(Handler) as found:
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield found
        found.released.set()
        found.shutdown()


def test_a_busy_server_is_asked_again(server):
    server.codes = [503, 503, 200]
    assert call(server.url) == {"code": 200} and not server.codes


def test_but_not_for_ever(server):
    server.codes = [503] * 99
    with pytest.raises(Failure, match="503"):
        call(server.url, timeout_s=3)
    assert server.codes


def test_a_server_that_says_no_is_quoted(server):
    server.codes = [404]
    with pytest.raises(Failure, match=r"404 .*code"):
        call(server.url)


def test_no_answer():
    with pytest.raises(Failure, match="no answer"):
        call("http://127.0.0.1:9")


@pytest.mark.parametrize("path, body", [("/runs/1", None), ("/runs/filter", {"limit": 1}), ("/runs/1/set_state", {})])
def test_what_may_be_done_twice_is_asked_again_when_no_answer_comes_in_time(server, path, body):
    server.codes = [LATE, LATE, 200]
    assert call(server.url + path, body, timeout_s=PATIENCE_S) == {"code": 200} and not server.codes


def test_and_when_the_server_failed(server):
    server.codes = [500, 500, 200]
    assert call(server.url) == {"code": 200} and not server.codes


@pytest.mark.parametrize("code, words", [(LATE, "timed out"), (500, "500")])
def test_but_not_more_than_that(server, code, words):
    server.codes = [code] * 9
    with pytest.raises(Failure, match=words):
        call(server.url, timeout_s=PATIENCE_S)
    time.sleep(1)
    assert len(server.codes) == 6


@pytest.mark.parametrize("code, words", [(LATE, "timed out"), (500, "500")])
def test_what_makes_something_is_sent_once(server, code, words):
    server.codes = [code, 200]
    with pytest.raises(Failure, match=words):
        call(server.url + "/deployments/1/create_flow_run", {}, timeout_s=PATIENCE_S)
    time.sleep(1)
    assert server.codes == [200]
