"""The audit of freshly written artifacts, as the lake calls it; Great Expectations is imported by the first that runs.

`warm_up` may be called early, in a thread, to have its import (three seconds) done while something else runs.
"""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from expectations.datasets import Dataset
from expectations.kept_results import INDEX, site_is_current
from expectations.verdict import Verdict


def audit(
    dataset: Dataset,
    parts: Mapping[str, Path],
    references: Mapping[str, pa.Array | None] | None = None,
    recent_rows: Mapping[str, int] | None = None,
    docs_dir: Path | None = None,
) -> dict[str, Verdict]:
    """Judge artifacts of one dataset that are written aside and not yet published; a verdict a date.

    Args:
        parts: local folder of Parquet files by date (ISO).
        references: ids that exist, by column (`user_id`, `item_id`), and optionally the `duration_s` of each item.
            A rule that needs one that is missing or None is left out.
        recent_rows: rows of other days that stand already; up to seven before each day count.
        docs_dir: where `build_docs` will make Data Docs; the results are kept there.

    Raises:
        Failure: a file is no Parquet, or an expectation could not be evaluated.
    """
    if not dataset.is_table:
        return {date: Verdict(dataset.name, date, checked=0) for date in parts}
    from expectations.auditing import judge

    given = {name: ids for name, ids in (references or {}).items() if ids is not None}
    judged = judge(dataset, parts, given, recent_rows or {})
    if docs_dir is not None:
        from expectations.data_docs import keep

        keep(docs_dir, judged)
    return judged.verdicts()


def build_docs(docs_dir: Path) -> Path:
    """Make Data Docs of the last audit of every dataset, unless nothing was audited since they were made.

    Returns the site's `index.html`.
    """
    if site_is_current(docs_dir):
        return docs_dir / INDEX
    from expectations.data_docs import build

    return build(docs_dir)


def warm_up() -> None:
    """Import Great Expectations and run it once."""
    from expectations.suites import warm_up

    warm_up()
