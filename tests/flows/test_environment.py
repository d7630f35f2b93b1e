"""No proxy of the environment comes between us and our own servers on loopback."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import pytest

from flows.environment import LOOPBACK, proxies, variables

NOWHERE = "127.0.0.1:9"


@pytest.fixture
def bare(monkeypatch):
    """An environment without proxies."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize("given", ["", "own.example", "localhost, .example", "*"])
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_loopback_is_past_every_proxy_and_what_was_spared_still_is(bare, name, given, tmp_path):
    bare.setenv(name, given)
    found = variables(tmp_path)
    assert found["no_proxy"] == found["NO_PROXY"]
    spared = {"no": found["no_proxy"]}
    assert all(proxy_bypass_environment(host, spared) for host in LOOPBACK)
    for host in ("own.example", "below.own.example", "other.test"):
        assert bool(proxy_bypass_environment(host, spared)) == bool(proxy_bypass_environment(host, {"no": given}))
    assert proxies() == {k: found[k] for k in proxies()}


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
def test_clients_are_opened_whatever_the_proxy(bare, scheme, tmp_path):
    for name in ("http_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        bare.setenv(name, f"{scheme}://{NOWHERE}")
    script = """
import threading, httpx, requests, urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200), self.end_headers(), self.wfile.write(b"here")
    def log_message(self, *words): pass
server = HTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
for host in ("127.0.0.1", "localhost"):
    url = f"http://{host}:{server.server_port}"
    assert httpx.Client().get(url).text == requests.get(url).text == "here"
    assert urllib.request.urlopen(url).read() == b"here"
"""
    environment = os.environ | variables(tmp_path)
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, cwd=root, timeout=100)
