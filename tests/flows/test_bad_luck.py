"""Bad luck on a real machine: a full disk, a home that cannot be written, no Java; each ends in one clear message.

Mounts need root (chmod proves nothing to it), so these tests run where CI runs them, as root.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.homes import COUNTED, LEARNT

pytestmark = pytest.mark.slow
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small or read-only disk needs root")


@pytest.fixture
def mounted() -> Iterator[list[Path]]:
    places: list[Path] = []
    yield places
    for place in places:
        subprocess.run(["umount", "-l", place], check=False)


def _mount(place: Path, options: str, places: list[Path]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    places.append(place)


def _one_message(done: subprocess.CompletedProcess[str], code: int, *says: str) -> None:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and all(s in done.stderr for s in says), done.stderr


@needs_root
def test_a_home_that_cannot_be_written(make_home, mounted):
    home = make_home()
    _mount(home.path / "home", "ro", mounted)
    _one_message(home.night(), 2, "cannot be written", "NIGHTJAR_HOME")


@needs_root
@pytest.mark.parametrize("start", ["after Spark", pytest.param("from nothing", marks=pytest.mark.soak)])
def test_a_full_disk_and_the_same_command_when_there_is_room(make_home, continued, mounted, golden, start):
    """One stage at a time then and with less memory; not a digest differs."""
    home = make_home()
    _mount(home.path / "home", "size=8m", mounted)
    _one_message(home.night(), 1, "disk is full")
    subprocess.run(["mount", "-o", "remount,size=900m", home.path / "home"], check=True)
    if start == "after Spark":  # what Spark makes is brought, as it takes most of the time
        shutil.copytree(continued(LEARNT).path / "home", home.path / "home", dirs_exist_ok=True)
    done = home.night("--sequential", "--set", "resources.memory_gib=4")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert home.digests() == golden.digests()
    assert home.left_running() == []


@needs_root
def test_no_java(continued):
    """In a mount namespace of its own, where the folder that holds Java is empty."""
    home = continued(COUNTED)
    command = f"mount -t tmpfs none /usr/lib/jvm && exec {sys.executable} -m flows run {home.config}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", command],
        cwd=Path(__file__).resolve().parents[2],
        env={"NIGHTJAR_HOME": str(home.path / "home"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    _one_message(done, 2, "Java 17", "apt-get install")


BROKEN = """
source: {kind: table, path: LOG, strict: false, columns: {user: u, item: i, time: t, rating: r}}
window: {train_days: all, judge_days: 1, rank_days: 1}
"""


def test_a_log_that_fails_its_audit_goes_to_quarantine_and_stops_the_night(make_home, prefect):
    """Ratings in the billions of a billion are no float32 that a rule lets pass."""
    home = make_home(prefect=prefect)
    lines = [
        f"u{n % 7},i{n % 11},2026-01-0{1 + n % 5}T10:00:{n % 60:02d}Z,{'1e39' if n == 13 else 4}" for n in range(200)
    ]
    (home.path / "log.csv").write_text("u,i,t,r\n" + "\n".join(lines) + "\n")
    home.config.write_text(BROKEN.replace("LOG", str(home.path / "log.csv")))
    done = home.night()
    _one_message(done, 1, "audit failed", "watches of 2026-01-04", "rating", "nightjar quarantine show")
    listed = home.ask("quarantine", "list").stdout
    assert listed.startswith("events-2026-01-04")
    shown = home.ask("quarantine", "show", "events-2026-01-04").stdout
    assert "rating" in shown and "release" in shown
    assert home.ask("quarantine", "release", "events-2026-01-04", "--why", "a typing error").returncode == 0
    assert home.ask("quarantine", "list").stdout.strip() == "quarantine is empty"
    out = home.ask("show", "watches", "--date", "2026-01-04").stdout
    assert "released because: a typing error" in out
