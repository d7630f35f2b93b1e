"""What is written aside is there whole or not at all, also when its writer is killed."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from expectations.errors import Failure
from expectations.files import place, read_json, replacing, write_json, write_text

KILLED = """
import os, signal, sys
from pathlib import Path
from expectations.files import replacing
with replacing(Path(sys.argv[1])) as aside:
    aside.write_text("new, and not whole")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path):
    write_text(tmp_path / "file", "old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "file")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "file").read_text() == "old"
    write_text(tmp_path / "file", "newer")
    assert (tmp_path / "file").read_text() == "newer"


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    write_json(tmp_path / "file", {"a": 1})
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "file") as aside:
        aside.write_text("half")
        raise ZeroDivisionError
    assert read_json(tmp_path / "file") == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(Failure, match="cannot be written"):
        write_text(tmp_path / "file", "text")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_private_file_is_its_owners_from_its_first_moment(tmp_path):
    with replacing(tmp_path / "file", private=True) as aside:
        assert aside.stat().st_mode & 0o777 == 0o600
        aside.write_text("secret")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    write_text(tmp_path / "open", "text")
    assert (tmp_path / "open").stat().st_mode & 0o044


def test_readers_see_one_of_many_writers_whole(tmp_path):
    path = tmp_path / "file"
    write_json(path, [0] * 1000)

    def write(number: int) -> None:
        for _ in range(30):
            write_json(path, [number] * 1000, durable=False)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert len(set(json.loads(path.read_text()))) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def _folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "mark").write_text(text)
    return path


def test_the_first_to_place_a_folder_wins(tmp_path):
    target = tmp_path / "deep" / "target"
    place(_folder(tmp_path / "one", "one"), target)
    place(_folder(tmp_path / "two", "two"), target)
    assert (target / "mark").read_text() == "one" and not (tmp_path / "two").exists()


def test_a_target_that_is_not_finished_is_no_other_who_was_first(tmp_path):
    target = _folder(tmp_path / "target", "half")
    with pytest.raises(OSError, match="not empty"):
        place(_folder(tmp_path / "one", "one"), target, mark="manifest.json")
    assert (tmp_path / "one" / "mark").exists()
