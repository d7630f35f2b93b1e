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
        """As JSON types."""
        return {**asdict(self), "examples": list(self.examples)}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Finding":
        """Back from `to_dict`."""
        return cls(**{**value, "examples": tuple(value["examples"])})

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
        """For the manifest, which must not depend on the run: warnings that need company are left out."""
        return {
            "passed": self.passed,
            "checked": self.checked,
            "failures": [f.brief() for f in self.failures],
            "warnings": [f.brief() for f in self.warnings if f.inherent],
        }

    def to_dict(self) -> dict[str, Any]:
        """As JSON types, with everything."""
        return {
            "dataset": self.dataset,
            "date": self.date,
            "passed": self.passed,
            "checked": self.checked,
            "failures": [f.to_dict() for f in self.failures],
            "warnings": [f.to_dict() for f in self.warnings],
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Verdict":
        """Back from `to_dict`."""
        failures, warnings = (tuple(map(Finding.from_dict, value[name])) for name in ("failures", "warnings"))
        return cls(value["dataset"], value["date"], value["checked"], failures, warnings)

    def to_markdown(self) -> str:
        """A page for people: every finding with its example rows as a table."""
        lines = [f"# {self.dataset} of {self.date}: {'passed' if self.passed else 'failed'}", ""]
        lines.append(f"{self.checked} rules checked, {len(self.failures)} broken, {len(self.warnings)} warnings.")
        for finding in (*self.failures, *self.warnings):
            lines += ["", f"## {finding.severity}: {finding.expectation} on {finding.column}", "", finding.message]
            lines += ["", *_table(finding.examples)]
        return "\n".join(lines) + "\n"


def _table(rows: tuple[Row, ...]) -> list[str]:
    if not rows:
        return []
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([str(row.get(n)).replace("|", "\\|") for n in names] for row in rows)]
    return [f"| {' | '.join(cells)} |" for cells in lines]
