"""A damaged pointer names the newest day that stands again, and is left alone while it is whole."""

import pytest

from expectations.files import read_json, write_json
from tasks.engine.lake import Lake, Ref
from tasks.engine.pointers import mend_pointers

DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")


@pytest.fixture
def made(night, stages) -> list[Ref]:
    """Artifacts of three days; the last one is damaged, and the newest that stands was published first."""
    steps = [stages[0](day) for day in (DAYS[1], DAYS[0], DAYS[2])]
    for step in steps:
        night.execute(step)
    (night.lake.local(steps[2].made.ref) / "part-00000.parquet").write_bytes(b"")
    return [step.made.ref for step in steps]


@pytest.mark.parametrize("text", ["", '{"date": "2026-0', "null", "[]", '{"date": 7, "key": "x"}', "<html>"])
def test_it_is_made_again(night, made, capsys, text):
    night.lake.point(made[1])
    path = night.lake.root / "current" / "popularity.json"
    path.write_text(text)
    mend_pointers(night.lake)
    assert night.lake.current("popularity") == made[0] and read_json(path)["path"] == made[0].folder
    assert capsys.readouterr().err.count("popularity.json is damaged") == 1
    mend_pointers(night.lake)
    assert capsys.readouterr().err == ""


def test_a_whole_one_stays_and_so_does_what_is_not_ours(night, made):
    night.lake.point(made[1])
    write_json(night.lake.root / "current" / "notes.json", ["of a user"])
    mend_pointers(night.lake)
    assert night.lake.current("popularity") == made[1]
    assert read_json(night.lake.root / "current" / "notes.json") == ["of a user"]


def test_without_an_artifact_there_is_no_pointer(tmp_path):
    lake = Lake(str(tmp_path / "lake"), tmp_path)
    lake.point(Ref("popularity", DAYS[0], "k"))
    (lake.root / "current" / "popularity.json").write_text("{")
    mend_pointers(lake)
    assert lake.current("popularity") is None
    mend_pointers(Lake(str(tmp_path / "none"), tmp_path))
