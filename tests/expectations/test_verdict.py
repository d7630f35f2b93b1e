"""Verdicts as JSON and as a page."""

import json

from expectations.verdict import Finding, Verdict


def finding(severity: str, inherent: bool = True) -> Finding:
    rows = ({"watch_id": 1, "completion": "nan", "note": "a|b"},)
    return Finding("watches", "2026-03-01", "expect_x", "completion", severity, 1, 20, rows, "it broke", inherent)


VERDICT = Verdict(
    "watches",
    "2026-03-01",
    31,
    failures=(finding("error"),),
    warnings=(finding("warn"), finding("warn", inherent=False)),
)


def test_a_verdict_survives_json() -> None:
    assert Verdict.from_dict(json.loads(json.dumps(VERDICT.to_dict(), allow_nan=False))) == VERDICT
    one = VERDICT.failures[0]
    assert Finding.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_only_failures_fail() -> None:
    assert not VERDICT.passed
    assert Verdict("watches", "2026-03-01", 31, warnings=VERDICT.warnings).passed


def test_a_manifest_keeps_no_warning_that_depends_on_company() -> None:
    brief = {"expectation": "expect_x", "column": "completion", "unexpected_count": 1, "total": 20}
    assert VERDICT.summary() == {"passed": False, "checked": 31, "failures": [brief], "warnings": [brief]}


def test_the_page_shows_rows_as_a_table() -> None:
    page = VERDICT.to_markdown()
    assert page.startswith("# watches of 2026-03-01: failed\n")
    assert "## error: expect_x on completion" in page
    assert "| 1 | nan | a\\|b |" in page
