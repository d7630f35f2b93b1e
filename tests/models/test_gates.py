"""Every gate refuses what it is there for, and only while it is on."""

import dataclasses
from typing import Any

import pytest

from models.gates import GATES, LOSSES, Figure, GatesConfig, judge_release

GOOD = {
    "audits": Figure(0.0),
    "index_recall": Figure(0.97),
    "coverage": Figure(0.3),
    "cold_start": Figure(0.2),
    "ndcg": Figure(0.01, 0.05),
    "recall": Figure(-0.03, 0.02),
    "segments": Figure(-0.1, 0.1),
    "empty_lists": Figure(0.1),
    "latency_ms": Figure(12.0),
}
BAD = {
    "audits": Figure(1.0),
    "index_recall": Figure(0.5),
    "coverage": Figure(0.001),
    "cold_start": Figure(0.0),
    "ndcg": Figure(-0.3, -0.1),
    "recall": Figure(-0.3, -0.1),
    "segments": Figure(-0.6, -0.4),
    "empty_lists": Figure(0.9),
    "latency_ms": Figure(9000.0),
}


def failed(figures, config=None, has_champion=True):
    return [v.gate for v in judge_release(figures, config or GatesConfig(), has_champion) if not v.passed]


def test_a_good_release_passes_every_gate():
    assert failed(GOOD) == [] and [v.gate for v in judge_release(GOOD, GatesConfig(), True)] == list(GATES)


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_refuses_what_it_is_there_for_and_only_while_it_is_on(gate):
    figures = GOOD | {gate: BAD[gate]}
    assert failed(figures) == [gate]
    off: dict[str, Any] = {gate: None}
    assert failed(figures, dataclasses.replace(GatesConfig(), **off)) == []


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("figure", [None, Figure(None, note="gone"), Figure(float("nan"), float("nan"))])
def test_a_gate_that_could_not_be_computed_fails(gate, figure):
    figures = {n: f for n, f in (GOOD | {gate: figure}).items() if f}
    (verdict,) = [v for v in judge_release(figures, GatesConfig(), True) if not v.passed]
    assert verdict.gate == gate and (figure is None or verdict.value is not None or "could not be" in str(verdict))


def test_a_loss_within_doubt_passes_and_one_beyond_it_does_not():
    assert failed(GOOD | {"ndcg": Figure(-0.2, -0.019)}) == []
    assert failed(GOOD | {"ndcg": Figure(-0.2, -0.021)}) == ["ndcg"]


def test_the_first_release_is_held_to_the_absolute_floors_only():
    assert failed(GOOD | {g: BAD[g] for g in LOSSES}, has_champion=False) == []
    assert failed(GOOD | {"coverage": BAD["coverage"]}, has_champion=False) == ["coverage"]


def test_a_verdict_says_by_how_much():
    verdicts = {v.gate: str(v) for v in judge_release(BAD, GatesConfig(), True)}
    assert verdicts["coverage"] == "coverage: 0.001, at least 0.01"
    assert verdicts["ndcg"] == "ndcg: -0.3, at least -0.02"
    assert verdicts["latency_ms"] == "latency_ms: 9000, at most 500"
