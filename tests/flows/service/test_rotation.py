"""Logs stay bounded while they are written, whoever writes, and not a line of their ends is lost."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from flows.service import logs
from flows.service.rotation import set_aside

ROOT = Path(__file__).resolve().parents[3]
MOST, LINES = 50_000, 20_000

WRITER = """
import os, sys, time
from flows.service import rotation
rotation.LOOK_S = 0.001
rotation.bound_output({most})
for number in range({lines}):
    os.write(1 + number % 2, b"line %d\\n" % number)
    while os.fstat(1).st_size > {most} + 10_000:  # no faster than a log is looked at
        time.sleep(0.001)
"""


def _write(path):
    """A process that writes to both its outputs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as out:
        command = [sys.executable, "-c", WRITER.format(most=MOST, lines=LINES)]
        return subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)


@pytest.fixture
def home(tmp_path):
    return tmp_path


def test_a_log_is_bounded_while_it_is_written_and_its_end_is_whole(home):
    path = home / "service/logs/prefect.log"
    assert _write(path).wait(300) == 0
    written = (set_aside(path).read_text() + path.read_text()).splitlines()
    first = LINES - len(written)
    assert written == [f"line {n}" for n in range(first, LINES)] and first > 0
    assert len(list(path.parent.iterdir())) == 2
    assert all(p.stat().st_size < MOST + 11_000 for p in path.parent.iterdir())
    shown = [line.split()[-1] for line in logs.tail(home, None, 3000, follow=False)]
    assert shown == [str(n) for n in range(LINES - 3000, LINES)]


def test_what_it_runs_hears_an_interrupt_also_when_a_script_starts_it_in_the_background(tmp_path):
    (tmp_path / "hears.py").write_text("import signal; print(signal.getsignal(signal.SIGINT) != signal.SIG_IGN)")
    command = f"trap '' INT; exec {sys.executable} -m flows.service.rotation hears"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_who_follows_misses_no_line_when_a_log_is_begun_anew(home):
    path, said = home / "service/logs/prefect.log", []
    path.parent.mkdir(parents=True)
    path.touch()
    stop, listens = threading.Event(), threading.Event()

    def follow():
        for line in logs.tail(home, "prefect", 0, follow=True):
            if line.split()[-1] == "begun":
                listens.set()
                continue
            said.append(line.split()[-1])
            if stop.is_set() or len(said) == 4000:
                return

    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    while not listens.wait(0.02):  # it hears what comes after it has opened the log
        with path.open("a") as log:
            log.write("line begun\n")
    for begin in range(0, 4000, 1000):  # four logs, one after the other
        with path.open("a") as log:
            log.writelines(f"line {n}\n" for n in range(begin, begin + 1000))
        until = time.monotonic() + 120
        while len(said) < begin + 1000 and reader.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        path.replace(set_aside(path))
        path.touch()
    reader.join(60)
    stop.set()
    assert said == [str(n) for n in range(4000)]


def test_a_line_that_is_not_finished_is_told_as_one(home):
    path = home / "service/logs/prefect.log"
    path.parent.mkdir(parents=True)
    path.write_text("begun ")
    end = logs._End(path)
    assert list(end.more()) == []
    with path.open("a") as log:
        log.write("and ended\n")
    assert list(end.more()) == ["begun and ended\n"]
