"""What `expectations/gx_internals.py` relies on is still there in the Great Expectations that is installed."""

import re
from datetime import UTC, datetime
from pathlib import Path

import great_expectations as gx
import pytest
from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.render import view
from great_expectations.validator.validator import Validator

from expectations.data_docs import OfflinePage
from expectations.gx_internals import add_result, show_no_progress
from expectations.suites import new_context


def door(part: str, where: str) -> str:
    return f"another Great Expectations: see expectations/gx_internals.py, {part}; to look at: {where}"


def test_a_page_has_its_own_templates_before_those_of_gx() -> None:
    told = door("Page", "great_expectations/render/view/view.py and templates/")
    page = OfflinePage()
    first, *others = OfflinePage.templates
    theirs = Path(view.__file__).parent / "templates"
    assert not (theirs / first).exists() and all((theirs / name).exists() for name in others), told
    for name, text in OfflinePage.templates.items():
        # A filter that GX no longer has is an error here.
        assert page.env.get_template(name), told
        assert page.env.loader and page.env.loader.get_source(page.env, name)[0] == text, told
    assert page.env.get_template("section.j2"), told


@pytest.mark.parametrize("name", ["table_columns", "table_data", "tabs", "collapse", "collapse_toggle_link"])
def test_gx_gives_templates_what_they_are_made_of(name: str) -> None:
    theirs = Path(view.__file__).parent / "templates"
    given = "".join(path.read_text() for path in theirs.glob("*.j2"))
    told = door("Page", "what content blocks hold, in great_expectations/render/view/templates/")
    assert re.search(rf"""content_block[^ ]*["']{name}["']|["']{name}["'] in content_block""", given), told


def test_a_result_that_was_kept_is_stored_under_run_and_batch() -> None:
    context = new_context()
    result = ExpectationSuiteValidationResult(success=True, results=[], suite_name="watches", meta={}, statistics={})
    add_result(context, result, gx.RunIdentifier("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)), "1-day")
    told = door("add_result", "validation_results_store, data_context/types/resource_identifiers.py")
    (key,) = context.validation_results_store.list_keys()
    assert key.to_tuple() == ("watches", "2026-03-01", "20260301T000000.000000Z", "1-day"), told
    kept = context.validation_results_store.get(key)
    assert kept and kept.suite_name == "watches", told


def test_a_context_draws_progress_until_it_is_told_not_to() -> None:
    told = door("show_no_progress", "data_context_variables.py, validator/validator.py (_determine_progress_bars)")
    context = gx.get_context(mode="ephemeral")
    validator = Validator(PandasExecutionEngine(), data_context=context)
    assert validator._determine_progress_bars() is True, told
    show_no_progress(context)
    assert validator._determine_progress_bars() is False, told
