"""Files are known by what is in them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.protocols.formats import (
    find_files,
    read_attributes,
    read_negatives,
    read_pairs,
    read_ratings,
    read_sequences,
)
from expectations.errors import UserError


def kinds(folder: Path) -> dict[str, list[str]]:
    return {kind: [path.name for path in paths] for kind, paths in find_files(folder).items()}


def test_kinds(sequences: Path, split: Path, negatives: Path, ratings: Path) -> None:
    assert kinds(sequences) == {"sequences": ["what"], "attributes": ["more.json"]}
    assert kinds(split) == {"sequences": ["z", "a"]}
    assert kinds(negatives) == {"pairs": ["p"], "negatives": ["n"], "ratings": ["r"]}
    assert kinds(ratings) == {"ratings": ["log"], "flags": ["titles"]}


def test_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("7 3 1\n9\n4 2\r\n")
    log = read_sequences(path)
    assert log.users.tolist() == [7, 7, 4] and log.items.tolist() == [3, 1, 2]
    path.write_text("7\t3\t4.5\t100\n1\t2\t1\t200")
    log = read_ratings(path)
    assert log.ratings is not None and log.times is not None
    assert (log.users.tolist(), log.items.tolist()) == ([7, 1], [3, 2])
    assert (log.ratings.tolist(), log.times.tolist()) == ([4.5, 1], [100, 200])
    path.write_text("(0,25)\t1\t2\n(3,4)\t5\t6\n")
    found = read_negatives(path)
    assert (found.users.tolist(), found.items.tolist()) == ([0, 3], [25, 4])
    assert np.array_equal(found.negatives, [[1, 2], [5, 6]])


def test_attributes_come_from_either_form(sequences: Path, ratings: Path, split: Path) -> None:
    assert read_attributes(find_files(sequences)) == {10: ["7", "8"], 11: ["8"], 12: []}
    assert read_attributes(find_files(ratings))[3] == ["1", "2"]
    assert read_attributes(find_files(split)) == {}


@pytest.mark.parametrize(
    ("line", "broken", "read"),
    [
        ("1 2 3", "1 2 x", read_sequences),
        ("1\t2\t3\t4", "1\t2\t3", read_ratings),
        ("1\t2", "1\ttwo", read_pairs),
        ("(1,2)\t3", "(1,2", read_negatives),
        ("1|a|0|1", "1|a", lambda path: read_attributes({"flags": [path]})),
    ],
)
def test_a_broken_line_far_below_is_named(tmp_path: Path, line: str, broken: str, read: Callable[[Path], Any]) -> None:
    path = tmp_path / "file"
    path.write_text("\n".join([line] * 60 + ["", broken, line]))
    with pytest.raises(UserError, match="file, line 62: "):
        read(path)


def test_broken_attributes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for text in ('{"1": [2], ', '{"1": [2], "x": [3]}', '{"1": [2], "3": 4}'):
        path.write_text(text)
        with pytest.raises(UserError, match="cannot be read as JSON"):
            read_attributes({"attributes": [path]})


def test_attributes_may_be_written_over_many_lines(sequences: Path) -> None:
    there = json.loads((sequences / "more.json").read_text())
    (sequences / "more.json").write_text(json.dumps(there, indent=1))
    assert read_attributes(find_files(sequences)) == {10: ["7", "8"], 11: ["8"], 12: []}


def test_large_ids_stay_themselves_and_larger_ones_are_refused(tmp_path: Path) -> None:
    path, first = tmp_path / "file", 2**53
    path.write_text("".join(f"{first + n}\t{first + n + 9}\t5\t100\n" for n in range(4)))
    log = read_ratings(path)
    assert log.users.tolist() == [first + n for n in range(4)] and log.items.tolist() == [
        first + n + 9 for n in range(4)
    ]
    for read, line in ((read_ratings, "{0}\t1\t5\t1"), (read_sequences, "1 {0} 3"), (read_pairs, "1\t{0}")):
        path.write_text(line.format("1" * 20) + "\n")
        with pytest.raises(UserError, match="line 1: a number of more than 18 digits"):
            read(path)


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        find_files(tmp_path / "none")
    (tmp_path / "README").write_text("Nothing here.\n")
    with pytest.raises(UserError, match="no file of a known format"):
        find_files(tmp_path)
    (tmp_path / "n").write_text("(0,1)\t2\t3\n(1,1)\t2\n")
    with pytest.raises(UserError, match="different numbers of negatives"):
        read_negatives(tmp_path / "n")
