"""What is asked of a service and its surroundings: side by side, never for ever, and told with the remedy."""

import json
import os
import socket
import subprocess
import threading
import time

import pytest

from flows.night.records import RunRecord, new_id
from flows.service.asking import Unanswered, ask_side_by_side
from flows.surroundings import disk_trouble, lake_trouble, long_nights
from tasks.machine.home import change
from tasks.machine.processes import owner_tag


def test_what_hangs_is_left_behind_and_the_others_are_heard():
    never, asked = threading.Event(), threading.Barrier(3)

    def together():
        asked.wait(60)  # only questions that are asked side by side get past this
        return "yes"

    questions = {"hangs": never.wait, "raises": lambda: 1 / 0, **dict.fromkeys("abc", together)}
    heard = ask_side_by_side(questions, 1.0)
    never.set()
    assert isinstance(heard["hangs"], Unanswered) and isinstance(heard["raises"], ZeroDivisionError)
    assert [heard[name] for name in "abc"] == ["yes"] * 3


def _run(home, **values):
    record = RunRecord(**{"id": new_id(), "config": "", "overrides": [], "lake": str(home / "lake"),
                          "date": "2026-01-12", "owner": owner_tag(), "state": "succeeded", **values})  # fmt: skip
    record.save(home)
    return record


def test_a_lake_that_hangs_does_not_hang_status(make_home):
    """Somebody listens at its address, and never says a word; PyArrow would wait for it at the process's end, too."""
    home = make_home()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"s3://lakes/night?endpoint_override=127.0.0.1:{silent.getsockname()[1]}&scheme=http&region=us-east-1"
        _run(home.path / "home")
        change(home.path / "home", lake=url)
        command = home.command("status", "--json", AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing")
        done = command.wait(60)
    assert done.returncode == 1, done.stderr
    troubles = {t["about"]: t["what"] for t in json.loads(done.stdout)["troubles"]}
    assert "no answer within" in troubles["lake"]


def test_a_lake_is_reachable_or_told(tmp_path, lake):
    assert lake_trouble(lake.url if not lake.is_local else str(tmp_path), tmp_path) is None
    assert "is not there" in str(lake_trouble(str(tmp_path / "unmounted"), tmp_path))


def test_a_lake_whose_server_is_gone_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    url = "s3://lakes/night?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"
    assert "s3://lakes/night cannot be read" in str(lake_trouble(url, tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_is_nearly_full_is_told(make_home):
    home = make_home()
    place = home.path / "home"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=True)
    try:
        told = home.ask("status")
    finally:
        subprocess.run(["umount", "-l", place], check=False)
    assert told.returncode == 1
    assert "disk: only 8 MiB are left" in told.stdout and "nightjar gc --delete" in told.stdout
    assert disk_trouble(home.path) is None


def test_a_night_that_runs_for_longer_than_it_may_is_told(tmp_path):
    begun = time.strftime("%Y%m%dT%H%M%S", time.gmtime(time.time() - 7200)) + "-abcd"
    within = _run(tmp_path, id=begun, state="running", night_hours=3.0)
    beyond = _run(tmp_path, id=begun, state="running", night_hours=1.0)
    ended = _run(tmp_path, id=begun, night_hours=1.0)
    (trouble,) = long_nights([within, beyond, ended])
    assert "2026-01-12 has been running for 2.0 h, longer than resources.night_hours (1)" in trouble.what
