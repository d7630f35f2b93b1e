"""Rows that cannot be used: counted by reason, with a few of them to look at. The source itself is never changed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

NUM_EXAMPLES = 3


def num_rows(count: int) -> str:
    """`1 row`, `2,000 rows`."""
    return "1 row" if count == 1 else f"{count:,} rows"


@dataclass
class Refusals:
    """Rows refused so far, by file and reason."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    examples: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, file: str, reason: str, count: int, examples: Iterable[str]) -> None:
        """Count rows of one file refused for one reason."""
        if count:
            key = (file, reason)
            self.counts[key] = self.counts.get(key, 0) + count
            kept = self.examples.setdefault(key, [])
            kept.extend(list(examples)[: NUM_EXAMPLES - len(kept)])

    def extend(self, other: "Refusals") -> None:
        """Add the refusals of another file."""
        for (file, reason), count in other.counts.items():
            self.add(file, reason, count, other.examples[file, reason])

    @property
    def num_rows(self) -> int:
        return sum(self.counts.values())

    def to_list(self) -> list[list[Any]]:
        """What was refused, as JSON types: file, reason, how many, examples."""
        return [[file, reason, n, self.examples[file, reason]] for (file, reason), n in self.counts.items()]

    @classmethod
    def from_list(cls, rows: list[list[Any]]) -> "Refusals":
        """Back from JSON types."""
        refusals = cls()
        for file, reason, count, examples in rows:
            refusals.add(file, reason, count, examples)
        return refusals


def sentences(refusals: Refusals) -> list[str]:
    """One sentence a file and reason, with examples."""
    return [
        f"{file}: {num_rows(count)} with {reason} ({'; '.join(refusals.examples[file, reason])})"
        for (file, reason), count in refusals.counts.items()
    ]
