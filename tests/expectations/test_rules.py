"""Declarations: what follows from a dataset, what the digest covers, and that they are light."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from expectations import rules as module
from expectations.datasets import DATASETS, TOWERS, USERS, WATCHES, Dataset
from expectations.measures import MEASURES, columns_of, parse
from expectations.rule import Rule, between, one_of, warn
from expectations.rules import OWN, rules, rules_digest


def test_a_folder_of_files_has_no_rules() -> None:
    assert rules(TOWERS) == ()
    assert len(rules_digest("towers")) == 16


def test_rules_name_what_exists(table_dataset: Dataset) -> None:
    names = {c.name for c in table_dataset.columns}
    for rule in (r for r in rules(table_dataset) if r.frame == "rows"):
        for measure in rule.columns:
            kind, _ = parse(measure)
            assert not kind or kind in MEASURES
            assert set(columns_of(measure)) <= names, rule


def test_no_rule_is_declared_twice(table_dataset: Dataset) -> None:
    given = [(r.expectation, r.arguments) for r in rules(table_dataset)]
    assert len(given) == len(set(given))


def test_own_rules_are_of_known_datasets() -> None:
    assert set(OWN) <= set(DATASETS)


def digest_with(monkeypatch: pytest.MonkeyPatch, *own: Rule) -> str:
    monkeypatch.setitem(OWN, "users", own)
    for cached in (module.rules, module.rules_digest):
        cached.cache_clear()
    try:
        return rules_digest("users")
    finally:
        monkeypatch.undo()
        for cached in (module.rules, module.rules_digest):
            cached.cache_clear()


def test_the_digest_covers_what_decides_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = between("age", 0, 120, "years")
    base = digest_with(monkeypatch, rule)
    assert digest_with(monkeypatch, replace(rule, why="said otherwise")) == base
    others = [warn(rule), between("age", 0, 130, "years"), replace(rule, needs=("x",)), one_of("age", 1)]
    assert len({base, *(digest_with(monkeypatch, other) for other in others)}) == 5


def test_the_digest_is_the_same_in_another_process() -> None:
    code = "from expectations.rules import rules_digest; print(rules_digest('watches'))"
    assert _run(code) == rules_digest("watches")


def test_rules_are_light() -> None:
    heavy = _run(
        "import sys, expectations.rules, expectations.verdict, tasks.engine.audit; print(*sys.modules)"
    ).split()
    assert not {"great_expectations", "pandas", "pyspark"} & set(heavy)


def _run(code: str) -> str:
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_texts_are_for_people() -> None:
    texts = {r.text for r in (*rules(WATCHES), *rules(USERS), *rules(DATASETS["histories"]))}
    assert {
        "completion must be at least 0 and at most 1",
        "weight must be more than 0",
        "hours_into_day(time) must be less than 24",
        "known(user_id, user_id) must hold",
        "user_id must not be null",
        "key(watch_id) must be unique",
        "gender must be female or male or other",
        "length(item_ids) must equal length(times)",
        "rating must be a finite number",
    } <= texts
