"""Suites are real Great Expectations suites, and what GX cannot evaluate is never taken for data that passes."""

import threading
from typing import Any

import great_expectations as gx
import numpy as np
import pytest

from expectations import suites
from expectations.datasets import Dataset
from expectations.errors import Failure
from expectations.rule import between, one_of, warn
from expectations.rules import rules
from expectations.suites import check, suite


def test_a_suite_has_every_rule_with_its_severity(table_dataset: Dataset) -> None:
    made = suite(table_dataset)
    assert isinstance(made, gx.ExpectationSuite) and made.name == table_dataset.name
    told = [(e.expectation_type, e.severity.value) for e in made.expectations]
    levels = {"error": "critical", "warn": "warning"}
    assert told == [(r.expectation, levels[r.severity]) for r in rules(table_dataset)]


def test_every_row_that_breaks_a_rule_is_told() -> None:
    low, high = between("a", 0, None, ""), between("a", None, 1_000, "")
    values = np.arange(-300, 1_200).astype(float)
    found = check([low, high, warn(high)], {"a": values})
    assert found[low].broken.tolist() == list(range(300))
    assert found[high].broken.tolist() == found[warn(high)].broken.tolist() == list(range(1_301, 1_500))
    assert {c.total for c in found.values()} == {1_500}


def test_frames_are_split_by_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [between(f"c{n}", n, None, "") for n in range(9)]
    frame: dict[str, Any] = {f"c{n}": np.full(10, 4.0) for n in range(9)}
    whole = check(given, frame)
    monkeypatch.setattr(suites, "CELLS", 25)
    widths = [len({c for r in some for c in r.columns}) for some in suites._batches(given, frame)]
    assert widths == [2, 2, 2, 2, 1]
    split = check(given, frame)
    assert [len(split[r].broken) for r in given] == [len(whole[r].broken) for r in given] == [0] * 5 + [10] * 4


def test_what_cannot_be_evaluated_is_a_failure_of_ours() -> None:
    with pytest.raises(Failure, match="expect_column_values_to_be_between"):
        check([between("a", 0, 1, "")], {"a": np.array(["text", "more"], dtype=object)})


def test_threads_take_turns() -> None:
    rule = one_of("a", "x")
    counts: list[int] = []

    def work(bad: int) -> None:
        values = np.array(["y"] * bad + ["x"] * (50 - bad), dtype=object)
        counts.append(len(check([rule], {"a": values})[rule].broken) - bad)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [0] * 8
