"""A backfill on a real server with two workers, while things are killed at random moments."""

import json
import re
import signal
import time

import psutil
import pytest

from flows.service.http import call
from tests.homes import TINY
from tests.servers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.soak]

DAYS = "2026-01-20", "2026-01-25"
KILLED = {
    # what: how its command line is known
    "command": r"-m flows backfill",
    "night": r"prefect\.(flow_)?engine",
    "worker": r"prefect worker start",
    "server": r"prefect server start",
}


def victims(home, what: str) -> list[psutil.Process]:
    found = []
    for process in home.processes():
        try:
            if re.search(KILLED[what], " ".join(process.cmdline())):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.timeout(2700)
def test_six_days_by_two_workers_with_kills_at_random_moments(make_home, tmp_path, chance):
    calm = make_home(TINY)
    done = calm.run("backfill", *DAYS, "--config", str(calm.config), "--max-parallel", "2")
    assert done.returncode == 0, done.stdout + done.stderr

    home, trace = make_home(TINY), tmp_path / "trace"
    home.environment["NIGHTJAR_TRACE"] = str(trace)
    up = "up", "--workers", "2", "--config", str(home.config), "--prefect-port", str(free_port()), "--mlflow-port", "0"
    up = (*up[:-1], str(free_port()))
    assert home.run(*up).returncode == 0

    order = [*KILLED, *chance.sample(list(KILLED), 2)]
    chance.shuffle(order)
    start = "backfill", *DAYS, "--config", str(home.config), "--max-parallel", "2", "--on", "pool", "--on-failure"
    command = home.command(*start, "continue")
    for what in order:
        time.sleep(chance.uniform(5, 20))
        for victim in victims(home, what)[:1]:
            victim.send_signal(signal.SIGKILL)
        time.sleep(1)
        assert home.run("up").returncode == 0
        if command.process.poll() is not None:
            command = home.command("backfill", "resume", newest(home)["id"])
    command.wait(900)
    for _ in range(3):
        if newest(home)["state"] == "succeeded":
            break
        done = home.run("backfill", "resume", newest(home)["id"])
    assert newest(home)["counts"] == {"succeeded": 6}, done.stdout + done.stderr

    assert home.digests() == calm.digests()
    assert computed_after_published(trace) == []
    assert "champion" not in aliases(home), "a backfill made a champion that nobody asked for"
    releases = dates_released(home)
    assert releases == sorted(set(releases)) and len(releases) == 6
    api = f"http://127.0.0.1:{up[up.index('--prefect-port') + 1]}/api"
    from_prefect(home, api)
    assert newest(home)["counts"] == {"succeeded": 1} and "2026-01-26" in dates_released(home)
    cancelled(home, api)
    assert home.run("down").returncode == 0
    assert home.left_running() == []


def from_prefect(home, api: str) -> None:
    """Start the deployment `backfill` for one more day, as the form in the UI does, and wait for its end."""
    deployment = call(f"{api}/deployments/name/backfill/backfill")
    parameters = {"start": "2026-01-26", "end": "2026-01-26"}
    body = {"parameters": {**deployment["parameters"], **parameters}}
    run = call(f"{api}/deployments/{deployment['id']}/create_flow_run", body)["id"]
    until = time.monotonic() + 600
    while (state := call(f"{api}/flow_runs/{run}")["state"])["type"] != "COMPLETED":
        assert time.monotonic() < until and state["type"] not in ("FAILED", "CRASHED"), state
        time.sleep(1)
    tags = call(f"{api}/flow_runs/{run}")["tags"]
    assert f"backfill:{newest(home)['id']}" in tags


def cancelled(home, api: str) -> None:
    """Cancel a backfill while workers run its nights: they end, the rest is never begun, the schedule goes on."""
    command = home.command("backfill", "2026-02-01", "2026-02-04", "--config", str(home.config), "--on", "pool")
    wait_for(lambda: "resume:" in command.out.read_text())
    id_ = command.out.read_text().split()[1]
    wait_for(lambda: newest(home)["counts"].get("running"))
    assert newest(home)["id"] == id_
    done = home.run("backfill", "cancel", id_)
    assert done.returncode == 0, done.stderr
    command.wait(600)
    wait_for(lambda: not victims(home, "night"))
    assert newest(home)["state"] == "cancelled" and newest(home)["counts"] == {"interrupted": 1, "skipped": 3}
    runs = {"flow_runs": {"tags": {"all_": [f"backfill:{id_}"]}}}
    open_types = {"SCHEDULED", "PENDING", "RUNNING", "CANCELLING"}
    wait_for(lambda: not open_types & {r["state_type"] for r in call(f"{api}/flow_runs/filter", runs)})
    assert not any(day.startswith("2026-02") for day in dates_released(home))
    (schedule,) = call(f"{api}/deployments/name/nightly/nightly")["schedules"]
    assert schedule["active"]


def wait_for(look, timeout: float = 600) -> None:
    until = time.monotonic() + timeout
    while not look():
        assert time.monotonic() < until, f"not within {timeout} s"
        time.sleep(0.3)


def newest(home):
    return json.loads(home.ask("backfill", "list", "--json").stdout)[0]


def computed_after_published(trace) -> list[str]:
    """Artifacts that were computed again although they stood."""
    published: set[str] = set()
    again = []
    for line in trace.read_text().splitlines():
        _, what, folder = line.split()
        if what == "published":
            published.add(folder)
        elif folder in published:
            again.append(folder)
    return again


def aliases(home) -> dict[str, int]:
    from tasks.registry import Registry

    return Registry(home.path / "home").aliases()


def dates_released(home) -> list[str]:
    from tasks.registry import Registry

    return sorted(v.tags["nightjar.date"] for v in Registry(home.path / "home").versions())
