"""Judges freshly written artifacts against their suite: one validation a dataset and call, a verdict a day.

Rows stream through in bounded chunks of the columns that rules look at; whole artifacts are judged by figures folded
meanwhile. Only what breaks a rule is read again, for its example rows.
"""

import statistics
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations import parts as parquet
from expectations.datasets import Dataset
from expectations.measures import Audited, DayFigures, columns_of, compute, parse
from expectations.rule import RECENT, UNIQUE, Frame, Rule
from expectations.rules import rules
from expectations.suites import Checked, check
from expectations.verdict import Finding, Row, Verdict

Parts = Mapping[str, Path]
References = Mapping[str, pa.Array]

CHUNK_ROWS = 500_000
NUM_EXAMPLES = 5
EXAMPLES_IN_MESSAGE = 2
NUM_RECENT = 7
FEW_RECENT = 3
"""Fewer earlier days than this say nothing about how much a day should have."""
BUSY_ROWS = 1_000
"""After days that all had at least this many rows, a day with none is broken, not quiet."""
SMALL_ROWS = 100
"""Below this median the volume of a day is left to chance."""


@dataclass
class Broken:
    """Rows of one artifact that break one rule: how many, and examples (or the positions of the rows to show)."""

    count: int = 0
    positions: list[int] = field(default_factory=list)
    examples: list[Row] = field(default_factory=list)


@dataclass
class Audit:
    """One call: what is audited against what, and what was found so far.

    Attributes:
        checked: rows that each rule has looked at; its keys are the rules that can be applied.
        broken: what broke a rule, by date.
        findings: the same, in words.
    """

    dataset: Dataset
    parts: Parts
    references: References
    checked: dict[Rule, int] = field(init=False)
    broken: dict[tuple[Rule, str], Broken] = field(default_factory=dict)
    findings: dict[tuple[Rule, str], Finding] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.checked = {r: 0 for r in rules(self.dataset) if set(r.needs) <= {RECENT, *self.references}}
        self.footers = {date: parquet.footer(folder) for date, folder in self.parts.items()}
        self.num_rows = {date: footer.num_rows for date, footer in self.footers.items()}

    def of(self, frame: Frame) -> list[Rule]:
        return [r for r in self.checked if r.frame == frame]

    def add(self, rule: Rule, date: str, positions: npt.NDArray[np.int64], examples: Sequence[Row] = ()) -> None:
        broken = self.broken.setdefault((rule, date), Broken())
        broken.count += len(positions)
        broken.positions.extend(positions[: NUM_EXAMPLES - len(broken.positions)].tolist())
        broken.examples.extend(examples[: NUM_EXAMPLES - len(broken.examples)])

    def check_columns(self) -> Parts:
        """Compare columns and types with the declaration; returns the artifacts whose rows can be looked at."""
        declared = {c.name: parquet.type_name(c.type) for c in self.dataset.columns}
        table: list[tuple[str, Row]] = []
        sound = {}
        for date, folder in self.parts.items():
            found = self.footers[date].types
            for name in dict.fromkeys([*declared, *found]):
                types = {"type": found.get(name, "missing"), "declared": declared.get(name, "not declared")}
                table.append((date, {"column": name, **types}))
            if all(found.get(name) == type_ for name, type_ in declared.items()):
                sound[date] = folder
        frame = {name: [row[name] for _, row in table] for name in ("type", "declared")}
        for rule, checked in check(self.of("columns"), frame).items():
            self.checked[rule] = checked.total
            for position in checked.broken:
                date, row = table[position]
                self.add(rule, date, np.array([position]), [row])
        return sound

    def check_rows(self, sound: Parts, figures: DayFigures) -> None:
        """Stream the rows through; a key is unique or not in a whole artifact, which goes through in one piece."""
        given = self.of("rows")
        if sum(self.num_rows[date] for date in sound) <= CHUNK_ROWS:
            self._check_chunks(given, sound, CHUNK_ROWS, figures)
            return
        keys = [r for r in given if r.expectation == UNIQUE]
        self._check_chunks([r for r in given if r not in keys], sound, CHUNK_ROWS, figures)
        for group in self._groups(sound):
            self._check_chunks(keys, group, max(1, sum(self.num_rows[date] for date in group)))

    def _groups(self, parts: Parts) -> Iterator[Parts]:
        """Artifacts in groups of at most `CHUNK_ROWS` rows, or alone."""
        group: dict[str, Path] = {}
        held = 0
        for date, folder in parts.items():
            if group and held + self.num_rows[date] > CHUNK_ROWS:
                yield group
                group, held = {}, 0
            group[date] = folder
            held += self.num_rows[date]
        if group:
            yield group

    def _check_chunks(
        self, given: Sequence[Rule], parts: Parts, max_rows: int, figures: DayFigures | None = None
    ) -> None:
        measures = sorted({c for rule in given for c in rule.columns})
        read = set().union(*map(columns_of, measures), figures.columns if figures else ())
        # As nullable: nulls where none are declared are for a rule to find, not for the reader to choke on.
        wanted = pa.schema([(c.name, c.type) for c in self.dataset.columns if c.name in read])
        for chunk in parquet.chunks(parts, wanted, max_rows):
            rows = Audited(chunk, self.references)
            frame = {measure: compute(measure, rows) for measure in measures}
            for rule, checked in check(given, frame).items():
                self.checked[rule] += checked.total
                if len(checked.broken):
                    self._add_rows(rule, chunk, checked, frame)
            if figures:
                figures.add(rows)

    def _add_rows(self, rule: Rule, chunk: parquet.Chunk, checked: Checked, frame: Mapping[str, Any]) -> None:
        broken = checked.broken
        if rule.expectation == UNIQUE:
            # Rows of the same key side by side, so that examples show what collides.
            broken = broken[np.argsort(frame[rule.columns[0]][broken], kind="stable")]
        starts = chunk.starts
        at = np.searchsorted(starts, broken, side="right") - 1
        for number in np.unique(at):
            segment = chunk.segments[number]
            self.add(rule, segment.date, broken[at == number] - starts[number] + segment.first)

    def check_days(self, sound: Parts, figures: DayFigures, recent_rows: Mapping[str, int]) -> None:
        """Judge figures of whole artifacts."""
        dates = list(sound)
        folded = figures.result(np.array([self.num_rows[date] for date in dates]))
        frame = {**folded, **_volumes(self.num_rows, recent_rows, dates)}
        for rule, checked in check(self.of("days"), frame).items():
            self.checked[rule] = checked.total
            for position in checked.broken:
                row = {name: parquet.plain_value(frame[name][position].item()) for name in _shown(rule)}
                self.add(rule, dates[position], np.array([position]), [row])

    def conclude(self) -> None:
        """Turn what broke rules into findings, with the rows themselves."""
        by_date: dict[str, dict[Rule, Broken]] = {}
        for (rule, date), broken in self.broken.items():
            by_date.setdefault(date, {})[rule] = broken
        for date, of_date in by_date.items():
            shown = [p for rule, b in of_date.items() if rule.frame == "rows" for p in b.positions]
            rows = parquet.take(self.parts[date], shown)
            totals = {"rows": self.num_rows[date], "columns": len(self.dataset.columns), "days": 1}
            for rule, b in of_date.items():
                examples = tuple(b.examples or (rows[p] for p in b.positions))
                self.findings[rule, date] = _finding(self.dataset, date, rule, b.count, totals[rule.frame], examples)

    def verdicts(self) -> dict[str, Verdict]:
        """A verdict for each date; findings in the order of the rules."""
        verdicts = {}
        for date in self.parts:
            found = [self.findings[rule, date] for rule in self.checked if (rule, date) in self.findings]
            failures = tuple(f for f in found if f.severity == "error")
            warnings = tuple(f for f in found if f.severity == "warn")
            inherent = sum(not rule.needs for rule in self.checked)
            verdicts[date] = Verdict(self.dataset.name, date, inherent, failures, warnings)
        return verdicts


def judge(dataset: Dataset, parts: Parts, references: References, recent_rows: Mapping[str, int]) -> Audit:
    """Audit artifacts of one dataset; see `tasks.engine.audit.audit` for the arguments."""
    audit = Audit(dataset, dict(sorted(parts.items())), references)
    sound = audit.check_columns()
    figures = DayFigures(list(sound), [c for r in audit.of("days") for c in r.columns if "(" in c])
    audit.check_rows(sound, figures)
    if sound:
        audit.check_days(sound, figures, recent_rows)
    audit.conclude()
    return audit


def _shown(rule: Rule) -> list[str]:
    """A volume is shown with what it was compared with."""
    context = ["rows", "recent_median"] if RECENT in rule.needs else []
    return list(dict.fromkeys([*rule.columns, *context]))


def _volumes(
    num_rows: Mapping[str, int], recent_rows: Mapping[str, int], dates: Sequence[str]
) -> dict[str, npt.NDArray[np.float64]]:
    """Rows of each day, beside those of the days before it."""
    known = {**recent_rows, **num_rows}
    in_order = sorted(known)
    names = ("rows", "recent_median", "share_of_recent", "rows_after_busy_days")
    volumes = {name: np.full(len(dates), np.nan) for name in names}
    for number, date in enumerate(dates):
        before = bisect_left(in_order, date)
        earlier = [known[d] for d in in_order[max(0, before - NUM_RECENT) : before]]
        volumes["rows"][number] = num_rows[date]
        if len(earlier) < FEW_RECENT:
            continue
        median = volumes["recent_median"][number] = statistics.median(earlier)
        if median >= SMALL_ROWS:
            volumes["share_of_recent"][number] = num_rows[date] / median
        if min(earlier) >= BUSY_ROWS:
            volumes["rows_after_busy_days"][number] = num_rows[date]
    return volumes


def _finding(dataset: Dataset, date: str, rule: Rule, count: int, total: int, examples: tuple[Row, ...]) -> Finding:
    shown = "; ".join(brief(row, dataset, rule) for row in examples[:EXAMPLES_IN_MESSAGE])
    why = f"({rule.expectation}; {rule.why})"
    told = f"{count:,} of {total:,} {rule.frame} break this {why}, such as {shown}"
    if rule.frame == "days":
        told = f"found {shown} {why}"
    message = f"{dataset.name} of {date}: {rule.text}: {told}"
    column = " and ".join(rule.columns)
    inherent = not rule.needs
    return Finding(
        dataset.name, date, rule.expectation, column, rule.severity, count, total, examples, message, inherent
    )


def brief(row: Row, dataset: Dataset, rule: Rule) -> str:
    """The key of an example row and what the rule looks at."""
    looked_at = {argument for column in rule.columns for argument in (*parse(column)[1], column)}
    if rule.frame == "rows":
        row = {name: value for name, value in row.items() if name in dataset.key or name in looked_at}
    return " ".join(
        f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}" for name, value in row.items()
    )
