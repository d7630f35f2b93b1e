"""Requests to our own servers: a busy one is asked again, one that says no is quoted."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from expectations.errors import Failure
from flows.service.http import call


@pytest.fixture
def server():
    """A server that answers with these codes, one a request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            code = self.server.codes.pop(0)
            body = b'{"code": %d}' % code
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as found:
        found.codes = []
        found.url = f"http://127.0.0.1:{found.server_port}"
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield found
        found.shutdown()


def test_a_busy_server_is_asked_again(server):
    server.codes = [503, 503, 200]
    assert call(server.url) == {"code": 200} and not server.codes


def test_but_not_for_ever(server):
    server.codes = [503] * 9
    with pytest.raises(Failure, match="503"):
        call(server.url, timeout_s=1)
    assert server.codes


def test_a_server_that_says_no_is_quoted(server):
    server.codes = [404]
    with pytest.raises(Failure, match=r"404 .*code"):
        call(server.url)


def test_no_answer():
    with pytest.raises(Failure, match="no answer"):
        call("http://127.0.0.1:9")
