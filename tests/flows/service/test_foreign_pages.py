"""What a page of another place can do to the servers of somebody who has it open, in a real Chromium: nothing.

The same page, asking a Prefect server that nothing stands in front of, does all it wants.
"""

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Frame, sync_playwright

from flows.service.http import call
from tests.servers import free_port, serving, wait_for

ELSEWHERE = "elsewhere.example"
"""A name that leads to this machine, as whoever owns a name can make it do."""

TRY = """async ([address, path, named, socket]) => {
  const asked = {};
  const ask = async (way, method, kind, mode) => {
    let body = JSON.stringify({name: way, ...named});
    if (kind === 'multipart/form-data') {
      body = new FormData();
      body.append('files', new File(['text'], way + '.txt'));
    }
    const headers = kind === 'multipart/form-data' ? {} : {'Content-Type': kind};
    try { asked[way] = (await fetch(address + path, {method, mode, headers, body})).status; } catch { asked[way] = -1; }
  };
  await ask('post-json', 'POST', 'application/json', 'cors');
  await ask('post-text', 'POST', 'text/plain', 'no-cors');
  await ask('post-form', 'POST', 'application/x-www-form-urlencoded', 'no-cors');
  await ask('post-file', 'POST', 'multipart/form-data', 'no-cors');
  const form = Object.assign(document.createElement('form'),
    {action: address + path, method: 'post', enctype: 'text/plain', target: 'sink'});
  form.append(Object.assign(document.createElement('input'),
    {name: JSON.stringify({name: 'form', ...named}).slice(0, -1) + ',"x":"', value: '"}'}));
  const sink = Object.assign(document.createElement('iframe'), {name: 'sink'});
  document.body.append(sink, form);
  const loaded = new Promise((done) => { sink.onload = done; setTimeout(done, 5000); });
  form.submit();
  await loaded;
  try { asked.read = (await (await fetch(address + '/')).text()).length; } catch { asked.read = -1; }
  asked.socket = await new Promise((done) => {
    const opened = new WebSocket(address.replace('http', 'ws') + socket);
    opened.onopen = () => done(1);
    opened.onerror = () => done(-1);
  });
  return asked;
}"""

PATCH = """async ([url, body]) => {
  try { return (await fetch(url, {method: 'PATCH', headers: {'Content-Type': 'application/json'}, body})).status; }
  catch { return -1; }
}"""


@dataclass
class Server:
    """One of ours: its address, where a POST writes something, and the names of what was written there."""

    url: str
    path: str
    named: dict[str, Any]
    written: Callable[[], set[str]]
    socket: str = "/api/events/out"

    def attacked_by(self, page: Frame) -> dict[str, int]:
        return dict(page.evaluate(TRY, [self.url, self.path, self.named, self.socket]))


@pytest.fixture(scope="module")
def service(make_service: Callable[[], Any]) -> Iterator[Any]:
    found = make_service()
    found.first_up()
    yield found
    found.home.run("down")


@pytest.fixture(scope="module")
def explorer(service: Any) -> Iterator[str]:
    port = free_port()
    running = service.home.command("explore", "--no-browser", f"--port={port}")
    wait_for(f"http://127.0.0.1:{port}")
    yield f"http://127.0.0.1:{port}"
    running.process.terminate()
    running.process.wait(180)


@pytest.fixture(scope="module")
def servers(service: Any, explorer: str) -> dict[str, Server]:
    prefect, mlflow = service.records()["prefect"]["url"], service.records()["mlflow"]["url"]
    uploads = service.home.path / "home/tmp/gradio"
    return {
        "prefect": _prefect(prefect),
        "mlflow": Server(
            mlflow,
            "/ajax-api/2.0/mlflow/experiments/create",
            {},
            lambda: {
                e["name"] for e in call(f"{mlflow}/api/2.0/mlflow/experiments/search?max_results=99")["experiments"]
            },
        ),
        "explorer": Server(explorer, "/gradio_api/upload", {}, lambda: {p.stem for p in uploads.rglob("*.txt")}),
    }


def _prefect(url: str) -> Server:
    return Server(
        url, "/api/variables/", {"value": 1}, lambda: {v["name"] for v in call(f"{url}/api/variables/filter", {})}
    )


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "Chromium is needed: apt-get install chromium"
    leads_here = f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", leads_here])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a web site of somebody else."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text("<!doctype html><title>cats</title><body>")
    (folder / "sandbox.html").write_text(
        "<!doctype html><body><iframe name='inner' sandbox='allow-scripts allow-forms' src='index.html'></iframe>"
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


PAGES = {
    "another port of loopback": "http://127.0.0.1:{}/",
    "another site": f"http://{ELSEWHERE}:{{}}/",
    "a sandbox": "http://127.0.0.1:{}/sandbox.html",
}


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest, chromium: Any, site: int) -> Iterator[Frame]:
    """A page that somebody has open."""
    opened = chromium.new_page()
    opened.goto(PAGES[request.param].format(site))
    yield opened.frame("inner") or opened.main_frame
    opened.close()


def test_without_a_guard_such_a_page_does_all_it_wants(chromium: Any, site: int, tmp_path: Path):
    """What the other tests try is possible in this browser."""
    port = free_port()
    home = {"PREFECT_HOME": str(tmp_path), "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": "*"}
    with serving(tmp_path / "server", "prefect", "server", "start", f"--port={port}", "--no-services", **home):
        wait_for(f"http://127.0.0.1:{port}/api/health")
        opened, open_to_all = chromium.new_page(), _prefect(f"http://127.0.0.1:{port}")
        for address in PAGES.values():
            opened.goto(address.format(site))
            asked = open_to_all.attacked_by(opened.frame("inner") or opened.main_frame)
            assert asked["post-json"] in (201, 409) and asked["read"] > 0 and asked["socket"] == 1
        opened.goto(f"http://{ELSEWHERE}:{port}/api/version")
        assert opened.inner_text("body").startswith('"')
        opened.close()
        assert "post-json" in open_to_all.written()


@pytest.mark.parametrize("name", ["prefect", "mlflow", "explorer"])
def test_a_page_of_another_place_writes_and_reads_nothing(servers: dict[str, Server], page: Frame, name: str):
    before = servers[name].written()
    asked = servers[name].attacked_by(page)
    assert servers[name].written() == before
    assert {way: asked[way] for way in ("post-json", "read", "socket")} == {"post-json": -1, "read": -1, "socket": -1}


def test_a_page_of_another_place_makes_no_deployment_run_its_command(service: Any, page: Frame):
    deployment = service.deployment("nightly")
    url = f"{service.records()['prefect']['url']}/api/deployments/{deployment['id']}"
    assert page.evaluate(PATCH, [url, '{"job_variables": {"command": "touch /tmp/taken"}}']) == -1
    assert service.deployment("nightly")["job_variables"] == {}


@pytest.mark.parametrize("name", ["prefect", "mlflow", "explorer"])
def test_a_name_that_is_made_to_point_here_shows_nothing(servers: dict[str, Server], chromium: Any, name: str):
    opened = chromium.new_page()
    answer = opened.goto(servers[name].url.replace("127.0.0.1", ELSEWHERE))
    assert answer.status == 403 and f"nightjar up --allow-hosts {ELSEWHERE}" in opened.inner_text("body")
    opened.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("name", ["prefect", "mlflow", "explorer"])
def test_its_own_pages_go_on_working(servers: dict[str, Server], chromium: Any, name: str, host: str):
    """Under either name of loopback, and for one who comes by a link."""
    server, opened = servers[name], chromium.new_page()
    failed: list[str] = []
    opened.on("response", lambda r: failed.append(f"{r.status} {r.url}") if r.status in (401, 403, 500) else None)
    opened.goto("data:text/html,<a>here</a>")
    address = server.url.replace("127.0.0.1", host)
    opened.evaluate("url => document.querySelector('a').href = url", address)
    opened.get_by_text("here").click()
    opened.wait_for_url(f"{address}/**", wait_until="commit")
    seen = {"prefect": "Deployments", "mlflow": "Experiments", "explorer": "Nightjar explorer"}[name]
    opened.get_by_text(seen).first.wait_for(timeout=90_000)
    assert not failed
    way = {"prefect": "post-json", "mlflow": "post-json", "explorer": "post-file"}[name]
    own = Server(address, server.path, server.named, server.written, server.socket)
    asked = own.attacked_by(opened.main_frame)
    assert way in server.written() and asked["read"] > 0
    assert name != "prefect" or asked["socket"] == 1
    opened.close()
