"""What an audit says: a verdict of every artifact, with a finding for each rule that rows break. Plain data, no GX."""

from dataclasses import asdict, dataclass
from typing import Any

from expectations.rule import Severity

Row = dict[str, Any]
"""One row as JSON types: times as ISO text, NaN as "NaN", long lists cut."""


@dataclass(frozen=True)
class Finding:
    """One rule that an artifact breaks.

    Attributes:
        expectation: type of the Great Expectations expectation.
        column: column or measure that it looks at.
        unexpected_count: how many of `total` rows break it.
        examples: some of these rows.
        inherent: follows from the artifact alone, not from what it is compared with in this run.
    """

    dataset: str
    date: str
    expectation: str
    column: str
    severity: Severity
    unexpected_count: int
    total: int
    examples: tuple[Row, ...]
    message: str
    inherent: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Everything that was found, as JSON types."""
        return {**asdict(self), "examples": list(self.examples)}

    def brief(self) -> dict[str, Any]:
        """What a manifest keeps of it."""
        names = ("expectation", "column", "unexpected_count", "total")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Verdict:
    """The audit of one artifact. Warnings pass; failures do not.

    Attributes:
        checked: how many rules were applied that need nothing but the artifact.
    """

    dataset: str
    date: str
    checked: int
    failures: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.failures

    def summary(self) -> dict[str, Any]:
        """What a manifest keeps. Warnings that need other artifacts are left out, as it must not depend on the run."""
        return {
            "passed": self.passed,
            "checked": self.checked,
            "failures": [f.brief() for f in self.failures],
            "warnings": [f.brief() for f in self.warnings if f.inherent],
        }
