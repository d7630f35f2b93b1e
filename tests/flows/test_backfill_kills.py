"""A backfill on a real server with two workers, while things are killed at random moments."""

import json
import re
import signal
import time

import psutil
import pytest

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
    assert home.run("down").returncode == 0
    assert home.left_running() == []


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
    from tasks.registry.registry import Registry

    return Registry(home.path / "home").aliases()


def dates_released(home) -> list[str]:
    from tasks.registry.registry import Registry

    return sorted(v.tags["nightjar.date"] for v in Registry(home.path / "home").versions())
