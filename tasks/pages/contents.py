"""Chapters about the data: volumes by day, audits, and what was made from what."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from expectations.substitutes import Substitute
from tasks.engine.lake import Artifact
from tasks.pages.data import Cell, Figure, Section, Table
from tasks.pages.plots import columns_by_day

MAX_WARNINGS = 20
MAX_LINES = 3
"""Artifacts of one dataset that have a line each."""


def data_section(daily: Mapping[str, Sequence[Artifact]], judged: Sequence[str]) -> Section:
    """How much there was, day by day; `daily` has the artifacts of every dataset that comes by the day."""
    present = {name: days for name, days in daily.items() if days}
    days = sorted({a.date for artifacts in present.values() for a in artifacts})
    volumes = {}
    for name, artifacts in present.items():
        rows = {a.date: a.rows for a in artifacts}
        volumes[name] = [rows.get(day, 0) for day in days]
    figure = Figure(
        "Rows by day",
        "Blue days were trained on, orange days judged on. Look for gaps, steps and days unlike the same weekday "
        "before. Each panel has its own scale, from zero.",
        columns_by_day("volumes", days, volumes, judged),
    )
    table = Table(
        "volumes", "Rows by dataset", "Days without an artifact do not count.",
        ("dataset", "days", "rows", "fewest a day", "most a day"),
        tuple((n, len(a), sum(x.rows for x in a), min(x.rows for x in a), max(x.rows for x in a))
              for n, a in present.items()),
    )  # fmt: skip
    return Section("data", "Data", "Data", f"{days[0]} to {days[-1]}.", (figure,), (table,))


def audits_section(artifacts: Iterable[Artifact]) -> tuple[Section, list[str]]:
    """What was checked, and the warnings (a failed audit stops the night before there is a report)."""
    rows: dict[str, list[int]] = {}
    warnings: list[str] = []
    for artifact in artifacts:
        audit = artifact.manifest.get("audit") or {}
        if not audit:
            continue
        totals = rows.setdefault(artifact.dataset, [0, 0, 0])
        totals[0] += 1
        totals[1] += audit["checked"]
        totals[2] += len(audit["warnings"])
        warnings += [f"{artifact.dataset} of {artifact.date}: {_in_words(w)}" for w in audit["warnings"]]
        if "released_because" in audit:
            warnings.append(f"{artifact.dataset} of {artifact.date} failed its audit: {audit['released_because']}")
    table = Table(
        "audits", "Audits by dataset", "Every artifact passed its `error` rules, or it would be in quarantine; "
        "warnings stand at the top of the page.",
        ("dataset", "artifacts", "rules checked", "warnings"), tuple((d, *totals) for d, totals in rows.items()),
    )  # fmt: skip
    more = [f"{len(warnings) - MAX_WARNINGS} more warnings"] if len(warnings) > MAX_WARNINGS else []
    lead = f"{len(warnings)} warnings." if warnings else "No warnings."
    return Section("audits", "Audits", "Audits", lead, (), (table,) if rows else ()), [*warnings[:MAX_WARNINGS], *more]


def _in_words(finding: Mapping[str, Any]) -> str:
    what = str(finding["expectation"]).removeprefix("expect_").replace("_", " ")
    return f"{finding['column']}: {what} ({finding['unexpected_count']:,} of {finding['total']:,} rows)"


def lineage_section(artifacts: Iterable[Artifact]) -> Section:
    """Every artifact behind the night; many days of one dataset share a line."""
    grouped: dict[str, list[Artifact]] = {}
    for artifact in artifacts:
        grouped.setdefault(artifact.dataset, []).append(artifact)
    rows: list[tuple[Cell, ...]] = []
    for dataset, group in grouped.items():
        dates = sorted(a.date for a in group)
        if len(group) > MAX_LINES:
            total = sum(a.rows for a in group)
            rows.append((dataset, f"{dates[0]} to {dates[-1]}", f"{len(group)} artifacts", total, None))
        else:
            ordered = sorted(group, key=lambda a: a.date)
            rows += [(dataset, a.date, a.key[:12], a.rows or None, a.content_digest[:12]) for a in ordered]
    table = Table(
        "lineage", "Artifacts",
        "The key says what decided the content (config, inputs, code, libraries); the digest is the content itself. "
        "`nightjar show DATASET --date DATE` prints each with its lineage up to the raw inputs.",
        ("dataset", "date", "key", "rows", "content digest"), tuple(rows),
    )  # fmt: skip
    return Section("lineage", "Lineage", "Lineage", "What this night was made from, and what it made.", (), (table,))


def substitutes_of(artifacts: Iterable[Artifact]) -> list[str]:
    """One sentence for each thing that stood in for data that was not there, as noted by the stages."""
    noted = (Substitute(*s) for a in artifacts for s in a.notes.get("substitutes", []))
    return list(dict.fromkeys(s.sentence for s in noted))
