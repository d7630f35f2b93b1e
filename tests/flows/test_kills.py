"""`kill -9` at any moment, then the same command again: the night completes with the very same content.

That every stage's own steps survive a kill is shown on tiny stages (`tests/tasks/engine/test_running.py`); here the
real night is killed where several things are under way. `make soak` kills it inside every stage.
"""

import os
import signal
import sqlite3
import subprocess
import time

import pytest

from tests.homes import COUNTED, LEARNT

pytestmark = pytest.mark.slow

MOMENTS = ["als:progress", "towers:progress", "release:logged", "release:registered", "ledger:written"]
"""Spark at work, a training at work, and between the three steps by which a release becomes known."""

EVERY = [
    "catalogue:begin", "events:progress", "events:published", "interactions:computed", "features:published",
    "popularity:audited", "als:progress", "item_similarity:computed", "content_similarity:begin", "towers:progress",
    "embeddings:audited", "index:progress", "ranker:progress", "bundle:computed", "recommendations:progress",
    "oracle:computed", "evaluation:progress", "release:logged", "release:registered", "report:computed",
    "ledger:written",
]  # fmt: skip
FORCED = {"ledger": "release"}
"""What happens after the last stage, and the stage that leads there."""


def test_kills_at_the_moments_that_differ(continued, golden, prefect):
    """One home goes through all of them: every run gets a little further than the last, then dies."""
    _killed_at(MOMENTS, continued(COUNTED, prefect=prefect), golden)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_kill_inside_every_stage(make_home, golden):
    _killed_at(EVERY, make_home(), golden)


def _killed_at(faults, home, golden):
    """The stage is forced, as an earlier run may have made it beside the stage in which it died."""
    survived = []
    for fault in faults:
        stage = fault.partition(":")[0]
        done = home.night("--force", FORCED.get(stage, stage), NIGHTJAR_FAULT=fault)
        if done.returncode != -signal.SIGKILL:
            survived.append((fault, done.stdout[-2000:], done.stderr[-2000:]))
    assert not survived
    done = home.night()
    assert done.returncode == 0, done.stderr
    _same(home, golden)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_run_leaves_at_once_and_cleans_up(make_home, number):
    home = make_home()
    running = home.command("run", str(home.config))
    deadline = time.monotonic() + 300
    while not list((home.path / "home/lake").glob("watches/*/*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    began = time.monotonic()
    running.process.send_signal(number)
    done = running.wait()
    assert time.monotonic() - began < 60, "it waited for the work under way"
    assert done.returncode == 128 + number
    assert "the same command continues" in done.stdout and "Traceback" not in done.stderr
    assert home.record()["state"] == "interrupted" and home.left_running() == []
    with sqlite3.connect(home.path / "home/prefect/prefect.db") as database:
        ((state,),) = database.execute("select state_type from flow_run").fetchall()
    assert state == {signal.SIGINT: "CANCELLED", signal.SIGTERM: "CRASHED"}[number]


def _same(home, golden) -> None:
    assert home.digests() == golden.digests()
    assert home.left_running() == []
    assert list((home.path / "home/lake/.staging").iterdir()) == []
    assert list((home.path / "home/scratch").glob(".*")) == []
    from tasks.registry.ledger import Ledger
    from tasks.registry.registry import Registry

    registry = Registry(home.path / "home")
    (version,) = registry.versions()
    assert set(version.aliases) == {"candidate", "champion"}
    assert len(Ledger(registry).entries()) == 1
    runs = registry.client.search_runs([registry.experiment_id()])
    assert len(runs) == 1 and runs[0].info.status == "FINISHED"


def test_a_kill_at_a_random_moment(continued, golden, chance):
    _killed_after([chance.uniform(0.3, 14)], continued(LEARNT), golden, chance)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_kills_at_random_moments(make_home, golden, chance):
    """From an empty home on, later and later."""
    _killed_after([chance.uniform(0.3, 4 + 3 * attempt) for attempt in range(8)], make_home(), golden, chance)


def _killed_after(seconds, home, golden, chance):
    """The process alone is killed, or its whole group."""
    for patience in seconds:
        running = home.command("run", str(home.config))
        try:
            running.process.wait(patience)
            break
        except subprocess.TimeoutExpired:
            if chance.random() < 0.5:
                running.process.kill()
            else:
                os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait()
    done = home.night()
    assert done.returncode == 0, done.stdout + done.stderr
    _same(home, golden)
