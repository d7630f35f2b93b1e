"""Locks between real processes."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from filelock import Timeout

from expectations.locks import is_locked, lock

HOLDER = """
import os, sys
from pathlib import Path
from expectations.locks import lock
with lock(Path(sys.argv[1])):
    if "forks" not in sys.argv or os.fork() == 0:  # a child tells that it is there, and outlives its parent
        print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(path, *words):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin and process.stdout
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.stdin.close()
        process.wait()


def test_nobody_holds_what_was_never_locked(tmp_path):
    assert not is_locked(tmp_path / "lock") and not (tmp_path / "lock").exists()


def test_another_process_is_kept_out(tmp_path):
    with holder(tmp_path / "lock"):
        assert is_locked(tmp_path / "lock")
        with pytest.raises(Timeout):
            lock(tmp_path / "lock", wait_s=0)


def test_another_holder_in_the_same_process_is_kept_out(tmp_path):
    with lock(tmp_path / "lock"):
        assert is_locked(tmp_path / "lock")
        with pytest.raises(Timeout):
            lock(tmp_path / "lock", wait_s=0.1)
    assert not is_locked(tmp_path / "lock")


@pytest.mark.parametrize("words", [(), ("forks",)])
def test_the_lock_of_a_killed_holder_is_free(tmp_path, words):
    with holder(tmp_path / "lock", *words) as process:
        process.kill()
        process.wait()
        assert not is_locked(tmp_path / "lock")
        with lock(tmp_path / "lock", wait_s=0):
            assert is_locked(tmp_path / "lock")


def test_who_waits_gets_it_when_its_holder_is_killed(tmp_path):
    with holder(tmp_path / "lock") as process, ThreadPoolExecutor() as pool:
        waits = pool.submit(lock, tmp_path / "lock")
        process.kill()
        with waits.result(timeout=60):
            assert is_locked(tmp_path / "lock")


def test_those_who_ask_are_not_taken_for_holders(tmp_path):
    lock(tmp_path / "lock").__exit__(None, None, None)
    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(lambda _: is_locked(tmp_path / "lock"), range(2000)))
