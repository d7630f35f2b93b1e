"""Leftovers of killed runs, doctor's findings, the environment: each told and mended."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from expectations.errors import UserError
from flows.environment import variables
from flows.home import prepare
from tasks.machine.processes import OWNER, end_leftovers, leftovers, owner_is_alive, owner_tag

ROOT = Path(__file__).resolve().parents[2]


def _sleeper(home: str, owner: str) -> subprocess.Popen[bytes]:
    environment = {"NIGHTJAR_HOME": home, OWNER: owner, "PATH": "/usr/bin:/bin"}
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment)


def _dead_owner() -> str:
    process = subprocess.Popen([sys.executable, "-c", ""])
    tag = f"{process.pid}.{int(psutil.Process(process.pid).create_time())}"
    process.wait()
    return tag


def test_what_a_dead_run_left_is_ended_and_nothing_else(tmp_path):
    home, dead = str(tmp_path), _dead_owner()
    left, mine, elsewhere = _sleeper(home, dead), _sleeper(home, owner_tag()), _sleeper("/other", dead)
    try:
        deadline = time.monotonic() + 60
        while not list(leftovers(home)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert [p.pid for p in leftovers(home)] == [left.pid]
        assert end_leftovers(home) == 1
        assert left.poll() is not None and mine.poll() is None and elsewhere.poll() is None
    finally:
        for process in (left, mine, elsewhere):
            process.kill()
            process.wait()


def test_a_process_id_used_again_is_another_owner():
    pid, _, started = owner_tag().partition(".")
    assert owner_is_alive(f"{pid}.{started}") and not owner_is_alive(f"{pid}.{int(started) - 100}")


def test_a_process_that_has_ended_and_that_nobody_waits_for_is_dead():
    """As below a first process of a container that reaps nothing."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    tag = f"{process.pid}.{int(psutil.Process(process.pid).create_time())}"
    assert owner_is_alive(tag) and process.stdin is not None
    process.stdin.close()
    until = time.monotonic() + 60
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not owner_is_alive(tag)
    process.wait()


@pytest.mark.parametrize("tag", ["", "x.y", "1", "999999999.1"])
def test_nonsense_owns_nothing(tag):
    assert not owner_is_alive(tag)


def test_everything_written_is_below_the_home_and_nothing_is_sent(tmp_path):
    chosen = variables(tmp_path)
    places = [v for k, v in chosen.items() if k.endswith(("DIR", "DIRS", "HOME", "DIRECTORY"))]
    assert len(places) >= 5 and all(Path(v).is_relative_to(tmp_path) for v in places)
    assert chosen["SPARK_LOCAL_IP"] == "127.0.0.1"
    assert (chosen["GX_ANALYTICS_ENABLED"], chosen["MLFLOW_DISABLE_TELEMETRY"]) == ("false", "true")
    assert chosen["ORT_DISABLE_TELEMETRY"] == chosen["DO_NOT_TRACK"] == "1"


@pytest.mark.parametrize(
    "module", ["models.runtime", "models.ranking.export", "models.retrieval.export", "expectations.suites"]
)
def test_a_library_that_is_imported_alone_keeps_no_trace_of_the_user(tmp_path, module):
    """onnxruntime's telemetry begins with an id of the machine in the user's cache folder."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", f"import {module}"], cwd=ROOT, env=environment, check=True, timeout=400)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file() and "matplotlib" not in p.parts] == []


def test_a_home_that_is_a_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "home").write_text("")
    with pytest.raises(UserError, match="NIGHTJAR_HOME"):
        prepare(tmp_path / "home")


def test_doctor_is_content_here(make_home):
    done = make_home().ask("doctor")
    assert done.returncode == 0, done.stdout
    assert all(word in done.stdout for word in ("python", "java", "packages", "home", "disk", "memory", "4200", "5000"))


def test_doctor_names_what_is_missing_and_the_remedy(make_home, tmp_path):
    home = make_home()
    home.environment = {"PATH": str(tmp_path), "JAVA_HOME": str(tmp_path)}
    (home.path / "home").write_text("a file where the home should be")
    done = home.ask("doctor")
    assert done.returncode == 1 and "NIGHTJAR_HOME" in done.stdout and "Traceback" not in done.stderr


def test_doctor_names_a_taken_port(make_home):
    import socket

    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 5000))
        taken.listen()
        done = make_home().ask("doctor")
    assert done.returncode == 0 and "5000, MLflow's UI's, is taken" in done.stdout and "lsof -i :5000" in done.stdout


def test_a_new_home_is_its_owners_alone_and_an_open_one_stays_open_and_is_told(make_home):
    home = make_home()
    folder = home.path / "home"
    home.ask("doctor")
    assert folder.stat().st_mode & 0o777 == 0o700
    for mode, who in ((0o750, "its group"), (0o755, "everybody"), (0o700, "")):
        folder.chmod(mode)
        said = home.ask("doctor").stdout.replace("\n", " ")
        assert folder.stat().st_mode & 0o777 == mode, "what somebody has chosen stays"
        assert ("is open to" in said) == bool(who) and f"is open to {who}" * bool(who) in said
        assert ("remedy: chmod 700" in said) == bool(who)
