"""Notifications, received on loopback: a night that fails, and a night that is not there in the morning."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from expectations.locks import lock


@pytest.fixture(scope="module")
def received():
    """What was posted so far, and the address to post to."""
    posted = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((self.path, self.headers["Content-Type"], body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield posted, f"http://127.0.0.1:{server.server_port}/hook?token=geheim"
    server.shutdown()


@pytest.fixture(scope="module")
def service(make_service, received):
    found = make_service()
    found.told = found.first_up("--notify", received[1]).stdout
    yield found
    found.home.run("down")


def _about(service, received, run):
    """The one notification of a run."""
    bodies = service.wait(lambda: [json.loads(b) for _, _, b in received[0] if run.encode() in b])
    assert len(bodies) == 1
    return bodies[0]


def test_a_night_that_fails_is_told(service, received):
    run = service.start_run("nightly", date="1990-01-01")
    ended = service.await_state(run, "FAILED", "CRASHED", "COMPLETED")
    told = _about(service, received, run)
    assert told["flow"] == "nightly" and told["state"] == "Failed" and told["run"] == ended["name"]
    assert "choose a later date" in told["message"]
    assert told["url"] == f"{service.records()['prefect']['url']}/runs/flow-run/{run}"
    assert [(path, kind) for path, kind, _ in received[0]] == [("/hook?token=geheim", "application/json")]


def test_a_night_that_is_late_is_told(service, received):
    run = service.start_run("watch", date="2026-01-12")
    service.await_state(run, "FAILED", "CRASHED", "COMPLETED")
    told = _about(service, received, run)
    assert told["flow"] == "watch" and "the night of 2026-01-12 is late: no release of it yet" in told["message"]


def test_a_night_that_hangs_is_ended_and_told_and_the_next_has_its_place(service, received, golden):
    """It waits for what somebody else claims and never makes; the next waits for it, as one runs at a time."""
    (key,) = (golden.path / "home/lake/release").glob("*/*")
    locks = service.home.path / "home/lake/.locks"
    locks.mkdir(exist_ok=True)
    resources = service.deployment("nightly")["parameters"]["resources"]
    with lock(locks / key.name):
        hanging = service.start_run("nightly", date="2026-01-12", resources={**resources, "night_hours": 0.005})
        service.await_state(hanging, "RUNNING")
        following = service.start_run("nightly", date="2026-01-12")
        ended = service.await_state(hanging, "COMPLETED", "FAILED", "CRASHED")
    assert (ended["state_type"], ended["state_name"]) == ("FAILED", "TimedOut")
    sentence = "the night of 2026-01-12 took longer than 18 s, which is all that resources.night_hours (0.005) allows"
    assert sentence in ended["state"]["message"]
    told = _about(service, received, hanging)
    assert told["state"] == "TimedOut" and sentence in told["message"]
    ended = service.await_state(following, "COMPLETED", "FAILED", "CRASHED")
    assert ended["state_type"] == "COMPLETED", ended["state"]


def test_a_night_that_somebody_cancels_has_not_failed(service, received):
    """In Prefect's UI, which asks for the same."""
    run = service.start_run("nightly", date="2026-01-14")  # not cached: under way for long enough
    service.await_state(run, "RUNNING")
    service.wait(lambda: (service.status()["last_night"] or {}).get("state") == "running")
    service.api(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
    assert service.await_state(run, "COMPLETED", "FAILED", "CRASHED", "CANCELLED")["state_type"] == "CANCELLED"
    service.wait(lambda: service.status()["last_night"]["state"] == "cancelled")
    assert service.wait(lambda: len(service.home.processes()) == 3)
    assert not [b for _, _, b in received[0] if run.encode() in b]


def test_a_night_that_is_there_is_not(service, received):
    done = service.home.night()
    assert done.returncode == 0, done.stderr
    run = service.start_run("watch", date=service.status()["last_night"]["date"])
    assert service.await_state(run, "FAILED", "CRASHED", "COMPLETED")["state_type"] == "COMPLETED"
    assert not [b for _, _, b in received[0] if run.encode() in b]


def test_a_run_that_lost_its_process_is_told_as_crashed(service, received):
    """One that somebody started is his to start again."""
    run = service.start_run("nightly", date="2026-01-13")  # not cached: under way for longer than `down` takes
    service.await_state(run, "RUNNING")
    told = service.home.run("down").stdout
    assert "ended 1 run(s) under way" in told and "it is marked as crashed" in told
    assert service.home.left_running() == []
    assert _about(service, received, run)["state"] == "Crashed", "the server ended before it had posted"
    service.up()
    assert service.await_state(run, "CRASHED")["state"]["message"] == "its process is gone"


def test_again_it_changes_nothing_and_the_address_stays_secret(service, received):
    before = service.api("/automations/filter", {})
    told = service.told + service.up().stdout
    assert service.api("/automations/filter", {}) == before and len(before) == 1
    assert "geheim" not in told + str(before) + str(service.api("/block_documents/filter", {}))


def test_nobody_is_notified_any_more(service, received):
    service.up("--notify", "")
    assert service.api("/automations/filter", {}) == []
