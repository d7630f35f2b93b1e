"""`kill -9` at any moment, then the same command again: the night completes with the very same content."""

import os
import random
import signal
import subprocess
import time

import pytest

FAULTS = [
    "catalogue:begin", "events:progress", "events:published", "interactions:computed", "features:published",
    "popularity:audited", "als:progress", "item_similarity:computed", "content_similarity:begin", "towers:progress",
    "embeddings:audited", "index:progress", "ranker:progress", "bundle:computed", "recommendations:progress",
    "oracle:computed", "evaluation:progress", "release:logged", "release:registered", "report:computed",
    "ledger:written",
]  # fmt: skip
FORCED = {"ledger": "release"}
"""What happens after the last stage, and the stage that leads there."""


@pytest.mark.timeout(1800)
def test_a_kill_inside_every_stage(make_home, undisturbed):
    """One home goes through all of it: every run gets a little further than the last, then dies.

    The stage is forced, as an earlier run may have made it beside the stage in which it died.
    """
    home = make_home()
    survived = []
    for fault in FAULTS:
        stage = fault.partition(":")[0]
        done = home.night("--force", FORCED.get(stage, stage), NIGHTJAR_FAULT=fault)
        if done.returncode != -signal.SIGKILL:
            survived.append((fault, done.stdout[-2000:], done.stderr[-2000:]))
    assert not survived
    done = home.night()
    assert done.returncode == 0, done.stderr
    _same(home, undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_run_leaves_at_once_and_cleans_up(make_home, number):
    home = make_home()
    running = home.command("run", str(home.config))
    deadline = time.monotonic() + 300
    while not list((home.path / "home/lake").glob("watches/*/*")) and time.monotonic() < deadline:
        time.sleep(0.2)
    began = time.monotonic()
    running.process.send_signal(number)
    done = running.wait()
    assert time.monotonic() - began < 60, "it waited for the work under way"
    assert done.returncode == 128 + number
    assert "the same command continues" in done.stdout and "Traceback" not in done.stderr
    assert home.record()["state"] == "interrupted" and home.left_running() == []


def _same(home, undisturbed) -> None:
    mine, theirs = home.digests(), undisturbed.digests()
    assert mine == theirs
    assert home.left_running() == []
    assert list((home.path / "home/lake/.staging").iterdir()) == []
    assert list((home.path / "home/scratch").glob(".*")) == []
    from tasks.ledger import Ledger
    from tasks.registry import Registry

    registry = Registry(home.path / "home")
    (version,) = registry.versions()
    assert set(version.aliases) == {"candidate", "champion"}
    assert len(Ledger(registry).entries()) == 1
    runs = registry.client.search_runs([registry.experiment_id()])
    assert len(runs) == 1 and runs[0].info.status == "FINISHED"


@pytest.mark.timeout(1800)
def test_kills_at_random_moments(make_home, undisturbed):
    """From an empty home on: of the process alone or of its whole group, sooner or later, then the command again."""
    home, chance, killed = make_home(), random.Random(seed := os.urandom(4).hex()), 0
    print(f"random kills with seed {seed}")
    for attempt in range(8):
        running = home.command("run", str(home.config))
        try:
            running.process.wait(chance.uniform(0.3, 4 + 3 * attempt))
            break
        except subprocess.TimeoutExpired:
            killed += 1
            if chance.random() < 0.5:
                running.process.kill()
            else:
                os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait()
    assert killed >= 2
    done = home.night()
    assert done.returncode == 0, done.stdout + done.stderr
    _same(home, undisturbed)
