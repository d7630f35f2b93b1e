"""The Great Expectations suite of every dataset, and the one place where suites meet rows.

Importing this takes seconds and two GX contexts at once clash, so it is imported when first needed (`warm_up` early,
in a thread of its own) and everything here holds one lock.
"""

import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

# Read by GX when it is imported.
os.environ["GX_ANALYTICS_ENABLED"] = "false"

import great_expectations as gx
from great_expectations.core import ExpectationValidationResult
from great_expectations.core.batch_definition import BatchDefinition
from great_expectations.expectations import Expectation

from expectations.datasets import Dataset
from expectations.errors import Failure
from expectations.gx_internals import show_no_progress
from expectations.rule import Rule
from expectations.rules import rules

LOCK = threading.RLock()
CELLS = 1_000_000
"""Most cells handed to GX at once: each expectation copies the whole frame it is given to drop rows with nulls."""

_SEVERITY = {"error": "critical", "warn": "warning"}
_WHETHER = "BOOLEAN_ONLY"
_ROWS: dict[str, Any] = {
    "result_format": "COMPLETE",
    "return_unexpected_index_query": False,
    "partial_unexpected_count": 0,
}


@dataclass(frozen=True)
class Checked:
    """How many rows a rule looked at, and the positions of those that break it."""

    total: int
    broken: npt.NDArray[np.int64]


def suite(dataset: Dataset) -> gx.ExpectationSuite:
    """The suite of a dataset: all of its rules."""
    return gx.ExpectationSuite(name=dataset.name, expectations=[expectation(r) for r in rules(dataset)])


def expectation(rule: Rule, **meta: Any) -> Expectation:
    """The GX expectation that a rule stands for."""
    kind = getattr(gx.expectations, rule.expectation.title().replace("_", ""))
    notes = f"{rule.severity}: {rule.why}"
    made: Expectation = kind(**rule.kwargs, severity=_SEVERITY[rule.severity], notes=notes, meta=meta)
    return made


def check(given: Sequence[Rule], frame: Mapping[str, Any]) -> dict[Rule, Checked]:
    """Validate columns (of equal lengths) against rules that need no others.

    Raises:
        Failure: GX could not evaluate an expectation at all.
    """
    checked: dict[Rule, Checked] = {}
    with LOCK:
        for some in _batches(given, frame):
            columns = {name: frame[name] for rule in some for name in rule.columns}
            batch = _batch_definition().get_batch({"dataframe": pd.DataFrame(columns, copy=False)})
            broken = [rule for rule, result in _validate(batch, some, _WHETHER).items() if not result.success]
            # Positions cost time and memory, and almost always nothing is broken.
            rows = _validate(batch, broken, _ROWS) if broken else {}
            for rule in some:
                positions = rows[rule].result["unexpected_index_list"] if rule in rows else []
                checked[rule] = Checked(len(frame[rule.columns[0]]), np.asarray(positions, np.int64))
    return checked


def _batches(given: Sequence[Rule], frame: Mapping[str, Any]) -> Iterator[list[Rule]]:
    """Split rules into groups whose columns together stay below `CELLS`."""
    some: list[Rule] = []
    columns: set[str] = set()
    for rule in sorted(given, key=lambda r: r.columns):
        more = columns | set(rule.columns)
        if some and len(more) > len(columns) and len(more) * len(frame[rule.columns[0]]) > CELLS:
            yield some
            some, more = [], set(rule.columns)
        some.append(rule)
        columns = more
    if some:
        yield some


def _validate(batch: Any, given: Sequence[Rule], result_format: Any) -> dict[Rule, ExpectationValidationResult]:
    # GX returns results in an order of its own.
    numbered = gx.ExpectationSuite(name="audit", expectations=[expectation(r, number=n) for n, r in enumerate(given)])
    found = {}
    for result in batch.validate(numbered, result_format=result_format).results:
        rule = given[result.expectation_config.meta["number"]]
        _refuse_exceptions(rule, result)
        found[rule] = result
    return found


def _refuse_exceptions(rule: Rule, result: ExpectationValidationResult) -> None:
    """An expectation that could not be evaluated is a fault of ours, not of the data."""
    info = result.exception_info or {}
    for entry in (info, *(v for v in info.values() if isinstance(v, dict))):
        if entry.get("raised_exception"):
            raise Failure(f"audit: {rule.expectation} {rule.kwargs} could not run: {entry['exception_message']}")


def new_context() -> gx.data_context.EphemeralDataContext:
    """A context in memory, without the progress bars that would flood a log."""
    context = gx.get_context(mode="ephemeral")
    show_no_progress(context)
    return context


@cache
def _batch_definition() -> BatchDefinition:
    """GX's handle for "the frame that I give you"."""
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    asset = new_context().data_sources.add_pandas("nightjar").add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("all")


def warm_up() -> None:
    """Do what only the first validation of a process pays for."""
    from expectations.datasets import USERS

    with LOCK:
        check([r for r in rules(USERS) if r.columns == ("user_id",)], {"user_id": np.arange(2)})
