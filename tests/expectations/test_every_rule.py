"""Every rule of every dataset, planted one a day: found on its day, with the right count and rows, and nowhere else."""

import math
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from expectations.auditing import judge
from expectations.datasets import Dataset
from expectations.measures import parse
from expectations.rule import LARGEST, Rule
from expectations.rules import rules

BAD = 3
"""The row that is broken."""

Row = dict[str, Any]


def plant(rule: Rule, rows: list[Row]) -> int:
    """Break a rule in row `BAD`, by hand and knowing nothing of how it is checked; returns how many rows break it."""
    row = rows[BAD]
    match rule.expectation:
        case "expect_column_values_to_not_be_null":
            row[rule.columns[0]] = None
        case "expect_column_values_to_be_unique":
            names = parse(rule.columns[0])[1]
            row.update({n: rows[BAD + 1][n] for n in names})
            return 2
        case "expect_column_pair_values_to_be_equal":
            _lengthen(row, rule.columns[0])
        case "expect_column_pair_values_a_to_be_greater_than_b":
            _lower(row, *rule.columns)
        case "expect_column_values_to_be_in_set":
            _disappoint(row, rule.columns[0])
        case _:
            _exceed(row, rule)
    return 1


def _lengthen(row: Row, measure: str) -> None:
    (name,) = parse(measure)[1]
    last = row[name][-1]
    row[name] = [*row[name], last]


def _lower(row: Row, a: str, b: str) -> None:
    a, b = parse(a)[1][0], parse(b)[1][0]
    row[a] = row[b] - (timedelta(hours=1) if "available" in a else 1)


def _disappoint(row: Row, measure: str) -> None:
    kind, (name, *_) = parse(measure)
    match kind:
        case "known":
            row[name] = 10_000
        case "differ":
            row["neighbour_id"] = row["item_id"]
        case "ascending":
            row[name] = row[name][::-1]
        case "strictly_ascending":
            row[name] = [1, 1, 2]
        case _:
            row[name] = "nobody knows"


def _exceed(row: Row, rule: Rule) -> None:
    kind, (name,) = parse(rule.columns[0])
    low, high = rule.kwargs.get("min_value"), rule.kwargs.get("max_value")
    match kind:
        case "hours_into_day":
            row[name] = _shifted(row[name], 1 if high else -1)
        case "length":
            row[name] = row[name][:0] if low else row[name] * 6
        case "missing_in":
            row[name] = [*row[name][:-1], None]
        case "norm":
            row[name] = [2 * x for x in row[name]]
        case "least":
            row[name] = [*row[name][:-1], -0.25]
        case "most":
            row[name] = [*row[name][:-1], 1.25]
        case "times_duration":
            row[name] = 80_000.0
        case "" if low is not None and low != -LARGEST:
            row[name] = low if rule.kwargs.get("strict_min") else low - 1
        case "":
            assert high is not None, "a rule without bounds cannot be broken"
            row[name] = math.nan if high == LARGEST else high + 1


def _shifted(moment: Any, days: int) -> Any:
    if isinstance(moment, list):
        return [*moment[:-1], moment[-1] + days * 86_400]
    return moment + timedelta(days=days)


def row_rules(dataset: Dataset) -> list[Rule]:
    return [r for r in rules(dataset) if r.frame == "rows"]


def test_clean_rows_break_nothing(
    table_dataset: Dataset, clean: Callable[..., Any], write: Callable[..., Any], references: dict[str, Any]
) -> None:
    parts = {day: write(table_dataset, day, clean(table_dataset, day)) for day in ("2026-03-01", "2026-03-02")}
    for verdict in judge(table_dataset, parts, references, {}).verdicts().values():
        assert verdict.passed and not verdict.warnings


def test_every_planted_violation_is_found(
    table_dataset: Dataset, clean: Callable[..., Any], write: Callable[..., Any], references: dict[str, Any]
) -> None:
    planted, parts, rows_of = {}, {}, {}
    for number, rule in enumerate(row_rules(table_dataset)):
        day = (date(2026, 1, 1) + timedelta(2 * number)).isoformat()
        rows = clean(table_dataset, day)
        planted[day] = rule, plant(rule, rows)
        rows_of[day] = rows
        parts[day] = write(table_dataset, day, rows)
        good = (date(2026, 1, 2) + timedelta(2 * number)).isoformat()
        parts[good] = write(table_dataset, good, clean(table_dataset, good))
    audit = judge(table_dataset, parts, references, {})
    verdicts = audit.verdicts()
    for day, (rule, count) in planted.items():
        finding = audit.findings[rule, day]
        assert (finding.unexpected_count, finding.total) == (count, len(rows_of[day])), rule
        assert len(finding.examples) == count
        assert _is_row(finding.examples[0], rows_of[day][BAD]) or _is_row(finding.examples[-1], rows_of[day][BAD])
        assert finding in (verdicts[day].failures if rule.severity == "error" else verdicts[day].warnings)
        assert table_dataset.name in finding.message and rule.expectation in finding.message and day in finding.message
    assert all(not v.failures and not v.warnings for day, v in verdicts.items() if day not in planted)


def _is_row(example: Row, row: Row) -> bool:
    """Whether an example is that row, as far as values are the same in JSON."""
    same = [n for n, v in row.items() if isinstance(v, int | str)]
    return all(example[n] == row[n] for n in same)


def test_every_non_nullable_column_is_checked(table_dataset: Dataset) -> None:
    checked = {r.columns[0] for r in rules(table_dataset) if r.expectation == "expect_column_values_to_not_be_null"}
    assert checked == {c.name for c in table_dataset.columns if not c.nullable}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_float_column_may_hold_what_is_no_number(
    table_dataset: Dataset, bad: float, clean: Callable[..., Any], write: Callable[..., Any]
) -> None:
    floats = [c.name for c in table_dataset.columns if str(c.type) in ("float", "double")]
    parts = {}
    for number, name in enumerate(floats):
        day = (date(2026, 1, 1) + timedelta(number)).isoformat()
        rows = clean(table_dataset, day)
        rows[BAD][name] = bad
        parts[day] = write(table_dataset, day, rows)
    verdicts = judge(table_dataset, parts, {}, {}).verdicts()
    for verdict, name in zip(verdicts.values(), floats, strict=True):
        assert name in [f.column for f in verdict.failures]
