"""A backfill that is handed to the work pool: a night and the command are killed, it is started in Prefect, cancelled.

Kills at random moments, of servers and workers too: `tests/flows/test_backfill_kills.py`.
"""

import json
import re
import signal
from typing import Any

import psutil
import pytest

NIGHT = r"prefect\.(flow_)?engine"
"""How the command line of a night under way is known."""


@pytest.fixture(scope="module")
def service(make_service, continued, golden_days):
    """Its home's lake has three nights but for their releases."""
    found = make_service()
    found.home = continued(of=golden_days)
    found.first_up()
    yield found
    found.home.run("down")


def newest(service: Any):
    """The newest backfill; with no counts as long as there is none."""
    return [*json.loads(service.home.ask("backfill", "list", "--json").stdout), {"counts": {}}][0]


def nights(service: Any) -> list[psutil.Process]:
    """Processes of nights that a worker runs."""
    found = []
    for process in service.home.processes():
        try:
            if re.search(NIGHT, " ".join(process.cmdline())):
                found.append(process)
        except psutil.Error:
            continue
    return found


def released(service: Any) -> list[str]:
    from tasks.registry.registry import Registry

    return sorted(v.tags["nightjar.date"] for v in Registry(service.home.path / "home").versions())


def test_a_killed_night_is_handed_out_again_and_a_killed_command_is_resumed(service):
    command = service.home.command(
        "backfill", "2026-01-12", "2026-01-13", "--config", str(service.home.config), "--on", "pool"
    )
    service.wait(lambda: newest(service)["counts"].get("running"), 400)
    for night in nights(service):
        night.kill()
    service.wait(lambda: days(service)[0]["attempts"] == 2, 400)
    command.process.send_signal(signal.SIGKILL)
    command.process.wait()
    done = service.home.run("backfill", "resume", newest(service)["id"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert newest(service)["counts"] == {"succeeded": 2}
    assert released(service) == ["2026-01-12", "2026-01-13"]
    assert "champion" not in aliases(service), "a backfill made a champion that nobody asked for"


def days(service):
    id_ = newest(service)["id"]
    return json.loads(service.home.ask("backfill", "status", id_, "--json").stdout)["days"]


def aliases(service) -> dict[str, int]:
    from tasks.registry.registry import Registry

    return Registry(service.home.path / "home").aliases()


def test_it_is_started_in_prefect_as_the_form_does(service):
    night = service.deployment("backfill")["parameters"]
    run = service.start_run("backfill", **{**night, "start": "2026-01-14", "end": "2026-01-14"})
    ended = service.await_state(run, "COMPLETED", "FAILED", "CRASHED")
    assert ended["state_type"] == "COMPLETED", ended["state"]
    assert f"backfill:{newest(service)['id']}" in ended["tags"]
    assert newest(service)["counts"] == {"succeeded": 1} and "2026-01-14" in released(service)


def test_cancelling_ends_the_nights_of_workers_and_the_schedule_goes_on(service):
    command = service.home.command(
        "backfill", "2026-02-01", "2026-02-03", "--config", str(service.home.config), "--on", "pool"
    )
    service.wait(lambda: "resume:" in command.out.read_text(), 400)
    id_ = command.out.read_text().split()[1]
    service.wait(lambda: newest(service)["counts"].get("running"), 400)
    assert newest(service)["id"] == id_
    done = service.home.run("backfill", "cancel", id_)
    assert done.returncode == 0, done.stderr
    command.wait(600)
    service.wait(lambda: not nights(service), 400)
    service.wait(lambda: newest(service)["counts"] == {"interrupted": 1, "skipped": 2})
    assert newest(service)["state"] == "cancelled"
    runs = {"flow_runs": {"tags": {"all_": [f"backfill:{id_}"]}}}
    open_types = {"SCHEDULED", "PENDING", "RUNNING", "CANCELLING"}
    service.wait(lambda: not open_types & {r["state_type"] for r in service.api("/flow_runs/filter", runs)}, 400)
    assert not any(day.startswith("2026-02") for day in released(service))
    (schedule,) = service.deployment("nightly")["schedules"]
    assert schedule["active"]


def _cancel(service, run):
    """As Prefect's UI does."""
    service.api(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
    ended = service.await_state(run, "COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    assert ended["state_type"] == "CANCELLED", ended["state"]


def test_a_night_that_is_cancelled_in_prefect_has_not_failed_and_the_others_go_on(service):
    options = ("--config", str(service.home.config), "--on", "pool")
    command = service.home.command("backfill", "2026-02-04", "2026-02-04", *options)
    service.wait(lambda: newest(service).get("request", {}).get("start") == "2026-02-04", 400)
    service.wait(lambda: newest(service)["counts"].get("running"), 400)
    tags = {"all_": [f"backfill:{newest(service)['id']}", "day:2026-02-04"]}
    (run,) = service.api("/flow_runs/filter", {"flow_runs": {"tags": tags}})
    _cancel(service, run["id"])
    done = command.wait(400)
    assert done.returncode == 0, done.stderr
    (day,) = days(service)
    assert (day["state"], day["reason"], day["attempts"]) == ("interrupted", "its run was cancelled in Prefect", 1)


def test_a_backfill_that_is_cancelled_in_prefect_is_cancelled_with_its_nights(service):
    night = service.deployment("backfill")["parameters"]
    run = service.start_run("backfill", **{**night, "start": "2026-02-05", "end": "2026-02-06"})
    service.wait(lambda: newest(service).get("request", {}).get("start") == "2026-02-05", 400)
    service.wait(lambda: newest(service)["counts"].get("running"), 400)
    _cancel(service, run)
    service.wait(lambda: newest(service)["state"] == "cancelled")
    assert newest(service)["counts"] == {"interrupted": 1, "skipped": 1}
    runs = {"flow_runs": {"tags": {"all_": [f"backfill:{newest(service)['id']}"]}}}
    service.wait(lambda: {r["state_type"] for r in service.api("/flow_runs/filter", runs)} == {"CANCELLED"})
