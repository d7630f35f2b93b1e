"""What a verdict says of an artifact."""

from expectations.rule import Severity
from expectations.verdict import Finding, Verdict


def finding(severity: Severity, inherent: bool = True) -> Finding:
    rows = ({"watch_id": 1, "completion": "nan", "note": "a|b"},)
    return Finding("watches", "2026-03-01", "expect_x", "completion", severity, 1, 20, rows, "it broke", inherent)


VERDICT = Verdict(
    "watches",
    "2026-03-01",
    31,
    failures=(finding("error"),),
    warnings=(finding("warn"), finding("warn", inherent=False)),
)


def test_only_failures_fail() -> None:
    assert not VERDICT.passed
    assert Verdict("watches", "2026-03-01", 31, warnings=VERDICT.warnings).passed


def test_a_manifest_keeps_no_warning_that_depends_on_company() -> None:
    brief = {"expectation": "expect_x", "column": "completion", "unexpected_count": 1, "total": 20}
    assert VERDICT.summary() == {"passed": False, "checked": 31, "failures": [brief], "warnings": [brief]}
