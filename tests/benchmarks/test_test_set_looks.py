"""The count of looks at a test set."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.protocols.test_set_looks import FOLDER, look

ONE, OTHER = "a" * 64, "b" * 64


def test_looks_are_counted_by_test_set(tmp_path: Path) -> None:
    assert [look(tmp_path, digest, {"model": "als"}) for digest in (ONE, ONE, OTHER, ONE)] == [1, 2, 1, 3]
    lines = (tmp_path / FOLDER / f"{ONE[:32]}.jsonl").read_text().splitlines()
    assert [json.loads(line)["model"] for line in lines] == ["als"] * 3


def test_a_file_of_looks_is_no_program(tmp_path: Path) -> None:
    look(tmp_path, ONE, {})
    assert (tmp_path / FOLDER / f"{ONE[:32]}.jsonl").stat().st_mode & 0o111 == 0


def test_looks_at_once_are_all_counted(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda n: look(tmp_path, ONE, {"n": n}), range(64)))
    assert sorted(counts) == list(range(1, 65))
