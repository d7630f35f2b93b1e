"""Explanations name what decided: a setting, a source file, an input, a deletion, a damage."""

import shutil

import pytest

from expectations.files import read_json, write_json
from tasks.engine.explain import explain
from tasks.engine.lake import MANIFEST
from tasks.engine.stage import merged, stage

DAY = "2026-03-01"


def _why(night, step) -> str:
    (found,) = explain(night.lake, step)
    return f"{found.verdict}: " + "; ".join(found.reasons)


def test_nothing_was_made_yet(night, stages):
    assert _why(night, stages[0](DAY)) == f"run: nothing was made yet for {DAY}"


def test_cached(night, stages):
    night.execute(stages[0](DAY))
    assert _why(night, stages[0](DAY)).startswith("cached")


def test_a_setting(night, stages):
    night.execute(stages[0](DAY))
    assert _why(night, stages[0](DAY, scale=7)) == "run: config scale 1 -> 7"


def test_a_source_file(night, stages, stage_of, count):
    night.execute(stages[0](DAY))
    assert _why(night, stage_of(count, "popularity", code="2")(DAY)) == "run: source tests/conftest.py changed"


def test_a_schema(night, stages, monkeypatch):
    night.execute(stages[0](DAY))
    monkeypatch.setattr("tasks.engine.stage.schema_digest", lambda name: f"another {name}")
    assert _why(night, stages[0](DAY)) == "run: schema of popularity changed"


def test_made_before_keys_held_schemas(night, stages, stage_of, count):
    step = stages[0](DAY)
    night.execute(step)
    path = night.lake.find(step.made.ref).path / MANIFEST
    manifest = read_json(path)
    del manifest["schemas"], manifest["digest"]
    write_json(path, manifest)
    why = _why(night, stages[0](DAY, scale=2))
    assert why == "run: config scale 1 -> 2; made by an earlier version, whose keys held no schemas"


def test_an_input(night, stages):
    old, new = stages[0](DAY), stages[0](DAY, scale=2)
    night.execute(old)
    night.execute(stages[1](DAY, popularity=old.made))
    step = stages[1](DAY, popularity=new.made)
    assert _why(night, step) == f"run: input popularity {DAY} changed"


def test_a_new_day_among_the_inputs(night, stages):
    days = merged(map(stages[0], [DAY, "2026-03-02"]))
    night.execute(days)
    first, second = days.by_date.values()
    night.execute(stages[1](DAY, popularity=first))
    step = stages[1](DAY, popularity=first, days=(second,))
    assert _why(night, step) == "run: input popularity 2026-03-02 is new"


def test_deleted_and_damaged(night, stages):
    step = stages[0](DAY)
    night.execute(step)
    part = night.lake.find(step.made.ref).files[0]
    part.write_bytes(b"")
    assert _why(night, step) == "run: popularity is damaged: part-00000.parquet"
    shutil.rmtree(part.parent)
    assert _why(night, step) == f"run: nothing was made yet for {DAY}"


def test_an_undeclared_dataset_is_refused(count):
    with pytest.raises(ValueError, match="tapes"):
        stage(produces="tapes")(count)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"rows": 3}'])
def test_a_damaged_manifest_of_what_was_made_before_ends_nothing(night, stages, text):
    step = stages[0](DAY)
    night.execute(step)
    (night.lake.local(step.made.ref) / MANIFEST).write_text(text)
    assert _why(night, stages[0](DAY, scale=7)) == "run: manifest.json of what was made before is damaged"
