"""Writes `docs/data-contracts.md` from the declarations: `python -m expectations.contracts`."""

from collections.abc import Sequence
from pathlib import Path

from expectations.datasets import DATASETS, Dataset
from expectations.rules import rules

PAGE = Path(__file__).resolve().parent.parent / "docs" / "data-contracts.md"

_TOP = """# Data contracts

Made by `python -m expectations.contracts` from `expectations/datasets.py` and `expectations/rules.py`; edit those.

Every artifact of a dataset has exactly these columns, and is audited before anybody can read it. What breaks an
`error` rule goes to quarantine and the night stops; what breaks a `warn` rule is reported and passes. Nulls are
allowed where a column says so, and every rule but "not null" looks at what is not null. Rules that need users, items
or other days are left out where those are not there. In rules, a name like a call is a measure of a column:

| measure | is |
| --- | --- |
| `key(a, b)` | the values of these columns together |
| `known(a, b)` | whether `a` is among the ids `b` of the users or items of the night |
| `hours_into_day(a)` | hours from the start of the artifact's day (UTC) to `a`, or to the last of a list |
| `length(a)` | length of a list or text; `shortest(a)` and `longest(a)` of all rows |
| `missing_in(a)` | elements of a list that are null, NaN or infinite |
| `least(a)`, `most(a)`, `norm(a)` | smallest and largest element, Euclidean length of a list of numbers |
| `ascending(a)`, `strictly_ascending(a)` | whether a list never falls, always rises |
| `differ(a, b)` | whether two columns differ |
| `times_duration(a)` | seconds divided by the duration of the row's item |
| `rows`, `share_of_recent` | rows of the artifact; the same divided by the median of up to seven days before |
| `rows_after_busy_days` | rows, where each of the days before had at least 1,000 |
| `newest_hour(a)` | hours into the day of the newest row, where there are at least 1,000 and not all are of midnight |
| `days_behind(a)` | whole days from the newest row to the artifact's day |
"""


def page() -> str:
    """The page, all datasets in the order of their declaration."""
    return "\n".join([_TOP, *map(_section, DATASETS.values())])


def _section(dataset: Dataset) -> str:
    per = "day" if dataset.per == "day" else "night"
    lines = [f"## {dataset.name}", "", f"{dataset.meaning[0].upper()}{dataset.meaning[1:]}. One artifact a {per}."]
    if not dataset.is_table:
        return "\n".join([*lines, "A folder of files, no table.", ""])
    lines += [f"Key: {', '.join(f'`{k}`' for k in dataset.key)}.", ""]
    columns = [(f"`{c.name}`", _type(c.type), "yes" if c.nullable else "", c.meaning, c.unit) for c in dataset.columns]
    lines += [*_table(("column", "type", "null", "meaning", "unit"), columns), ""]
    told = [(r.text, r.severity, r.why) for r in rules(dataset)]
    return "\n".join([*lines, *_table(("rule", "severity", "reason, or what breaks it"), told), ""])


def _type(type_: object) -> str:
    return str(type_).replace("list<item: ", "list<").replace("list<element: ", "list<")


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows)]


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"wrote {PAGE}")
