"""A damaged record is named once and set aside, whatever is in it, and its reader goes on."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.files import write_json
from expectations.records import checked, read_record, text_of


@dataclass
class Told:
    """A record of a test."""

    id: str
    seconds: float
    refs: dict[str, list[str]] = field(default_factory=dict)


WHOLE = Told("one", 2.5, {"a": ["x", "y"]})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def told(path: Path) -> Told | None:
    return read_record(path, lambda values: checked(Told, values), "it is made again")


@pytest.mark.parametrize(
    "content",
    [b"", b'{"id": "on', b"\x00" * 200, b"\xff\xfe{", b"no json", b"null", b"[]", b"3", b'"text"', b"{}",
     b"[" * 100_000, b'{"id": "one", "seconds": "long"}', b'{"id": "one", "seconds": 1, "refs": {"a": "x"}}'],
)  # fmt: skip
def test_it_is_named_once_and_set_aside(tmp_path, capsys, content):
    path = tmp_path / "told.json"
    path.write_bytes(content)
    assert told(path) is None and told(path) is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {path} is damaged (") and line.endswith(
        "and set aside as told.json.damaged; it is made again"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["told.json.damaged"]
    assert (tmp_path / "told.json.damaged").read_bytes() == content


def test_one_that_stays_is_named_once(tmp_path, capsys):
    path = tmp_path / "told.json"
    path.write_text("[]")
    for _ in range(2):
        assert read_record(path, lambda values: text_of(values, "id"), "look", stays=True) is None
    assert capsys.readouterr().err == f"warning: {path} is damaged (no text 'id' in it); look\n"
    assert path.read_text() == "[]"


def test_none_is_no_damage(tmp_path, capsys):
    assert told(tmp_path / "told.json") is None and capsys.readouterr().err == ""


def test_what_is_in_its_place_and_is_no_file_stays(tmp_path, capsys):
    (tmp_path / "told.json").mkdir()
    assert told(tmp_path / "told.json") is None
    assert "cannot be read" in capsys.readouterr().err and (tmp_path / "told.json").is_dir()


def test_what_a_later_version_has_added_is_left_out(tmp_path):
    write_json(tmp_path / "told.json", {**asdict(WHOLE), "weather": "fine"})
    assert told(tmp_path / "told.json") == WHOLE


@given(JSON)
def test_any_json_is_a_record_or_set_aside(values):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "told.json"
        path.write_text(json.dumps(values))
        found = told(path)
        assert path.exists() == (found is not None)


@given(st.data())
def test_one_cut_anywhere_is_set_aside(data):
    text = json.dumps(asdict(WHOLE))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "told.json"
        path.write_text(text[: data.draw(st.integers(0, len(text) - 1))])
        assert told(path) is None and path.with_name("told.json.damaged").exists()


@given(st.sampled_from(["id", "refs"]), JSON)
def test_a_field_of_another_type_makes_it_no_record(name, value):
    fits = isinstance(value, str) if name == "id" else False
    if name == "refs":
        lists = list(value.values()) if isinstance(value, dict) else [None]
        fits = all(isinstance(one, list) and all(isinstance(word, str) for word in one) for one in lists)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "told.json"
        write_json(path, {**asdict(WHOLE), name: value})
        assert (told(path) is not None) == fits
