"""Audits freshly written artifacts: one Great Expectations validation a dataset and call, a verdict a day.

Rows stream through in bounded chunks of columns that rules look at. Great Expectations and pandas are imported when
the first audit needs them; call `warm_up` in a thread to have that done while something else runs.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from expectations import parts as parquet
from expectations.datasets import Dataset
from expectations.rules import NOT_NULL, RECENT, UNIQUE, Rule, rules
from expectations.verdict import Finding, Row, Verdict

Parts = Mapping[str, Path]
References = Mapping[str, pa.Array | None]

CHUNK_ROWS = 500_000
NUM_EXAMPLES = 5
NUM_RECENT = 7
FEW_RECENT = 3
"""Fewer earlier days than this say nothing about how much a day should have."""
BUSY_ROWS = 1_000
SMALL_ROWS = 100


def warm_up() -> None:
    """Import Great Expectations and run it once: about three seconds that need not be waited for."""
    from expectations.suites import warm_up

    warm_up()


@dataclass
class Broken:
    """Rows of one artifact that break one rule: how many, and the positions of the first."""

    count: int = 0
    rows: list[int] = field(default_factory=list)


@dataclass
class Tally:
    """What a call has found so far, by rule and date."""

    dataset: Dataset
    dates: list[str]
    checked: dict[Rule, int] = field(default_factory=dict)
    broken: dict[tuple[Rule, str], Broken] = field(default_factory=dict)

    def add(self, rule: Rule, total: int, found: Mapping[str, npt.NDArray[np.int64]]) -> None:
        self.checked[rule] = self.checked.get(rule, 0) + total
        for date, rows in found.items():
            broken = self.broken.setdefault((rule, date), Broken())
            broken.count += len(rows)
            broken.rows.extend(rows[: NUM_EXAMPLES - len(broken.rows)].tolist())


def audit(
    dataset: Dataset,
    parts: Parts,
    references: References | None = None,
    recent_rows: Mapping[str, int] | None = None,
    docs_dir: Path | None = None,
) -> dict[str, Verdict]:
    """Judge artifacts of one dataset, written aside and not yet published.

    Args:
        parts: local folder of Parquet files by date (ISO).
        references: ids that exist, by column (`user_id`, `item_id`), and optionally `duration_s` of each `item_id`.
            Rules that need one that is missing or None are left out.
        recent_rows: rows of other days that stand in the lake; the seven days before each one count.
        docs_dir: keeps the results here for `build_docs`.

    Returns:
        A verdict for each date.

    Raises:
        Failure: a file is no Parquet, or an expectation could not be evaluated.
    """
    given = {name: ids for name, ids in (references or {}).items() if ids is not None}
    applied = [r for r in rules(dataset) if set(r.needs) <= {RECENT, *given}]
    tally = Tally(dataset, sorted(parts), dict.fromkeys(applied, 0))
    num_rows = {date: parquet.num_rows(parts[date]) for date in tally.dates}
    odd = _check_columns(tally, [r for r in applied if r.frame == "columns"], parts)
    sound = {date: parts[date] for date in tally.dates if date not in odd}
    figures = _check_rows(tally, [r for r in applied if r.frame != "columns"], sound, num_rows, given)
    figures |= _volumes(num_rows, recent_rows or {}, list(sound))
    day_rules = [r for r in applied if r.frame == "days"]
    _check_days(tally, day_rules, list(sound), figures)
    verdicts = _verdicts(tally, parts, num_rows, figures)
    if docs_dir is not None and dataset.is_table:
        from expectations.data_docs import keep

        keep(docs_dir, dataset, tally.checked, verdicts)
    return verdicts
