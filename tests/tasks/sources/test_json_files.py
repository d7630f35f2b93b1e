"""Whatever Python and pandas write as JSON is read back as it was, and what is no JSON is called that."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import UserError
from tasks.sources.config import TextFile
from tasks.sources.formats import JSON
from tasks.sources.json_files import names_in, read_json
from tasks.sources.reading import DataFile, read_batches, read_whole

NAMES = ["user", "value"]


def data_file(path: Path, **text: Any) -> DataFile:
    return DataFile(path, path.name, JSON, TextFile(**text))


def read(path: Path) -> list[tuple[str | None, ...]]:
    columns = [b.columns for b in read_batches(data_file(path), NAMES)]
    return [row for c in columns for row in zip(*(c[n].to_pylist() for n in NAMES), strict=True)]


WRITERS: dict[str, Callable[[Any], str]] = {
    "an object a line": lambda rows: "".join(json.dumps(row) + "\n" for row in rows),
    "a list on one line": json.dumps,
    "a list of many lines": lambda rows: json.dumps(rows, indent=1),
    "pandas' lines": lambda rows: pd.DataFrame(rows, dtype=object).to_json(orient="records", lines=True),
    "pandas' list": lambda rows: pd.DataFrame(rows, dtype=object).to_json(orient="records"),
    "Python literals": lambda rows: "".join(f"{row!r}\n" for row in rows),
}
NUMBERS = st.one_of(st.integers(-(2**80), 2**80), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
IN_64_BITS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.booleans(), st.none())


@pytest.mark.parametrize("name", WRITERS)
@given(data=st.data())
def test_values_stay_themselves_whoever_wrote_them(name, data, tmp_path_factory):
    """Text is that text; a number is the text that Python writes for it, however large."""
    text = st.text(st.characters(exclude_categories=["Cs"]))
    value = st.one_of(text, IN_64_BITS if "pandas" in name else st.one_of(NUMBERS, st.none()))
    values = data.draw(st.lists(value, min_size=1, max_size=6))
    path = tmp_path_factory.mktemp("table") / "log.json"
    path.write_text(WRITERS[name]([{"user": "u", "value": v} for v in values]), encoding="utf-8")
    said = [str(v).lower() if isinstance(v, bool) else v if v is None or isinstance(v, str) else str(v) for v in values]
    assert read(path) == [("u", text) for text in said]
    assert names_in(data_file(path))[""] == NAMES


@pytest.mark.parametrize("name", ["an object a line", "a list on one line", "a list of many lines"])
@pytest.mark.parametrize("first", [True, False])
def test_numbers_that_are_none_are_missing(name, first, tmp_path):
    path = tmp_path / "log.json"
    values = [1.5, float("nan"), float("inf"), -float("inf")]
    path.write_text(WRITERS[name]([{"user": "u", "value": v} for v in (values[::-1] if first else values)]))
    missing = [("u", None)] * 3
    assert read(path) == ([*missing, ("u", "1.5")] if first else [("u", "1.5"), *missing])


@pytest.mark.parametrize("name", ["an object a line", "a list on one line", "a list of many lines", "Python literals"])
def test_half_an_emoji_spoils_nothing_else(name, tmp_path):
    path = tmp_path / "log.json"
    path.write_text(
        WRITERS[name]([{"user": "Zoë", "value": v} for v in ("cut \ud83d", "\ud83d\ude00", "a\ude00b", None)])
    )
    assert read(path) == [("Zoë", v) for v in ("cut \ufffd", "😀", "a\ufffdb", None)]


def test_large_whole_numbers_within_objects_keep_their_digits(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"user": {"id": 2**70 + 1}, "values": [{"of": -(2**63) - 1}]}) + "\n")
    batch = next(read_json(data_file(path), ["user.id", "values.of"]))
    assert [c.to_pylist() for c in batch.columns.values()] == [[str(2**70 + 1)], [str(-(2**63) - 1)]]


def test_a_list_on_one_line_is_never_taken_for_a_python_literal(tmp_path, monkeypatch):
    """Which would take all memory: that parser is for lines."""
    monkeypatch.setattr("tasks.sources.json_files.ast.literal_eval", None)
    path = tmp_path / "log.json"
    path.write_text(json.dumps([{"user": "u", "value": n} for n in range(3)]))
    assert len(read(path)) == 3
    path.write_text("[{'user': 'u'}]")
    with pytest.raises(UserError, match="this is no JSON"):
        read(path)


def test_a_list_in_another_encoding_is_called_that(tmp_path):
    path = tmp_path / "log.json"
    text = json.dumps([{"user": "Zoë", "value": "v"}], ensure_ascii=False)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"not utf-8; set source.encoding"):
        read(path)


@pytest.mark.parametrize("line", ["{broken", "[1, 2]", "12", '"text"', "[" * 100_000])
def test_lines_that_are_no_objects_are_called_that(line, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"user": "u", "value": "v"}\n' + line + "\n")
    assert read(path) == [("u", "v")]
    with pytest.raises(UserError, match=r"log.jsonl: a line that is no JSON object in line 2.*; correct it"):
        read_whole(data_file(path), NAMES)


def test_an_encoding_that_is_none_is_told_with_its_setting(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("{}\n")
    with pytest.raises(UserError, match=r"^source.encoding: 'klingon' is none"):
        list(read_batches(data_file(path, encoding="klingon"), NAMES))
