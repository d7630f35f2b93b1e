"""A damaged pointer names the newest day that stands again, and is left alone while it is whole."""

import json

import pytest

from tasks.engine.admission import Machine
from tasks.engine.lake import Lake, Ref
from tasks.engine.pointers import mend_pointers
from tasks.engine.running import Night
from tasks.machine.config import ResourcesConfig
from tests.lakes import edit, edit_file

DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")
POINTER = "current/popularity.json"


@pytest.fixture
def made(lake, stages, tmp_path) -> list[Ref]:
    """Artifacts of three days; the last one is damaged, and the newest that stands was published first."""
    night = Night(lake, tmp_path / "home", Machine(ResourcesConfig()))
    steps = [stages[0](day) for day in (DAYS[1], DAYS[0], DAYS[2])]
    for step in steps:
        night.execute(step)
    edit(lake, steps[2].made.ref, "part-00000.parquet", lambda data: b"")
    return [step.made.ref for step in steps]


@pytest.mark.parametrize("text", ["", '{"date": "2026-0', "null", "[]", '{"date": 7, "key": "x"}', "<html>"])
def test_it_is_made_again(lake, made, capsys, text):
    lake.point(made[1])
    edit_file(lake, POINTER, lambda data: text.encode())
    mend_pointers(lake)
    assert lake.current("popularity") == made[0]
    edit_file(lake, POINTER, lambda data: _named(data, made[0].folder))
    edit_file(lake, f"{POINTER}.damaged", lambda data: _named(data, text))
    assert capsys.readouterr().err.count("popularity.json is damaged") == 1
    mend_pointers(lake)
    assert capsys.readouterr().err == ""


def _named(data: bytes, what: str) -> bytes:
    assert what in data.decode()
    return data


def test_a_whole_one_stays_and_so_does_what_is_not_ours(lake, made):
    lake.point(made[1])
    edit_file(lake, "current/notes.json", lambda data: b'["of a user"]')
    mend_pointers(lake)
    assert lake.current("popularity") == made[1]
    edit_file(lake, "current/notes.json", lambda data: _named(data, json.dumps(["of a user"])))


def test_without_an_artifact_there_is_no_pointer(lake, tmp_path):
    lake.point(Ref("popularity", DAYS[0], "k"))
    edit_file(lake, POINTER, lambda data: b"{")
    mend_pointers(lake)
    assert lake.current("popularity") is None
    mend_pointers(Lake(str(tmp_path / "none"), tmp_path))
