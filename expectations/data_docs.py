"""Data Docs: the site in which Great Expectations shows suites and the results of audits.

Audits keep their results as files, so that one build a night shows them all, also after a run was killed. GX's own
pages load scripts, fonts and a logo from seven hosts; the views here render the same content from this file alone.
"""

import html
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, cast

from great_expectations import RunIdentifier
from great_expectations.core import (
    ExpectationSuiteValidationResult,
    ExpectationSuiteValidationResultSchema,
    ExpectationValidationResult,
)

from expectations.auditing import Audit, brief
from expectations.datasets import DATASETS
from expectations.files import write_text
from expectations.gx_internals import Page, add_result
from expectations.kept_results import INDEX, results_folder
from expectations.locks import lock
from expectations.records import read_record
from expectations.rule import Rule
from expectations.suites import LOCK, expectation, new_context, suite

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#222;max-width:76rem;margin:1.5rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:.4rem 0 1rem}
th,td{border-bottom:1px solid #ddd;padding:.3rem .5rem;text-align:left;vertical-align:top}
h5{font-size:1.15rem;margin:1.4rem 0 .4rem} h6{font-size:1rem;margin:.3rem 0} pre{white-space:pre-wrap}
.badge{background:#eef;border-radius:3px;padding:0 .3rem} .cooltip>span{display:none}
.text-success{color:#187a2f} .text-danger{color:#b3261e} .fas{font-style:normal;font-weight:bold}
.fa-check-circle::before{content:"passed"} .fa-times::before{content:"failed"}
"""
_TEMPLATES = {
    "nightjar.j2": """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Data Docs</title><style>{{ style }}</style></head><body>
{% if "SiteIndex" not in renderer_type %}{% set depth = 4 if "ValidationResults" in renderer_type else 1 %}
<p><a href="{{ "../" * depth }}index.html">All datasets</a></p>{% endif %}
{% for section in sections %}{% set section_loop = loop %}{% include "section.j2" %}{% endfor %}
</body></html>""",
    "bootstrap_table.j2": """{% set columns = content_block["table_columns"] %}<table>
<tr>{% for column in columns %}<th>{{ column["title"] }}</th>{% endfor %}</tr>
{% for row in content_block["table_data"] | render_bootstrap_table_data %}<tr>{% for column in columns %}
<td>{{ row[column["field"]] }}{% if loop.first %} <a href="{{ row["_table_row_link_path"] }}">open</a>{% endif %}</td>
{% endfor %}</tr>{% endfor %}</table>""",
    "tabs.j2": """{% for tab in content_block["tabs"] %}<h5>{{ tab["tab_name"] }}</h5>
{{ tab["tab_content"] | render_content_block(content_block_id="tab-" ~ loop.index) }}{% endfor %}""",
    "collapse.j2": """{% set link = content_block.get("collapse_toggle_link", "more") %}
<details><summary>{{ link | render_content_block }}</summary>
{% for block in content_block["collapse"] %}{{ block | render_content_block(content_block_id="more") }}{% endfor %}
</details>""",
}


class OfflinePage(Page):
    """GX's page view with templates that ask nothing of other hosts and need no scripts."""

    templates = _TEMPLATES
    values: ClassVar = {"style": STYLE}


_VIEW = {"module_name": OfflinePage.__module__, "class_name": OfflinePage.__name__}


def keep(docs_dir: Path, audit: Audit) -> None:
    """Keep the results of an audit for the next build, in place of the dataset's last ones."""
    file = results_folder(docs_dir) / f"{audit.dataset.name}.json"
    with _turn(docs_dir):
        write_text(file, json.dumps(_suite_result(audit).to_json_dict()), durable=False)


def build(docs_dir: Path) -> Path:
    """Build the site from all kept results; returns its `index.html`."""
    with _turn(docs_dir):
        context = new_context()
        for file in sorted(results_folder(docs_dir).glob("*.json")):
            result = read_record(file, _result_of, "Data Docs show the dataset again after its next audit")
            if result:
                context.suites.add(suite(DATASETS[result.suite_name]))
                add_result(context, result, *_run_and_batch(result))
        for section in ("expectations", "validations"):
            shutil.rmtree(docs_dir / section, ignore_errors=True)
        context.add_data_docs_site("nightjar", _site(docs_dir))
        # Without a name a second site, of its own making, is built too.
        context.build_data_docs(site_names=["nightjar"])
        # Fonts and pictures of GX's own pages.
        shutil.rmtree(docs_dir / "static", ignore_errors=True)
    return docs_dir / INDEX


def _result_of(values: Any) -> ExpectationSuiteValidationResult:
    """A kept result; raises ValueError for what is none."""
    try:
        result = cast("ExpectationSuiteValidationResult", ExpectationSuiteValidationResultSchema().load(values))
        suite(DATASETS[result.suite_name])
        _run_and_batch(result)
    except Exception as error:  # of Great Expectations' own kinds, too
        raise ValueError(f"no result of an audit: {error}") from error
    return result


@contextmanager
def _turn(docs_dir: Path) -> Iterator[None]:
    """One at a time, of this process's threads and of all runs in a home; the lock goes with the process."""
    docs_dir.mkdir(parents=True, exist_ok=True)
    with LOCK, lock(docs_dir / ".lock"):
        yield


def _site(docs_dir: Path) -> Any:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs_dir)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder", "view": _VIEW},
        "site_section_builders": {"expectations": {"view": _VIEW}, "validations": {"view": _VIEW}, "profiling": "None"},
    }


def _run_and_batch(result: ExpectationSuiteValidationResult) -> tuple[RunIdentifier, str]:
    days = cast("dict[str, Any]", result.meta)["days"]
    last = datetime.fromisoformat(days[-1]).replace(tzinfo=UTC)
    name = days[0] if len(days) == 1 else f"{days[0]}--{days[-1]}"
    return RunIdentifier(run_name=name, run_time=last), f"{len(days)}-{'day' if len(days) == 1 else 'days'}"


def _suite_result(audit: Audit) -> ExpectationSuiteValidationResult:
    results = [_result(audit, rule, total) for rule, total in audit.checked.items()]
    succeeded = sum(bool(r.success) for r in results)
    meta: Any = {"active_batch_definition": {"data_asset_name": audit.dataset.name}, "days": list(audit.parts)}
    return ExpectationSuiteValidationResult(
        # As in the verdicts: a broken `warn` rule is shown as broken and fails nothing.
        success=all(verdict.passed for verdict in audit.verdicts().values()),
        results=results,
        suite_name=audit.dataset.name,
        statistics={
            "evaluated_expectations": len(results),
            "successful_expectations": succeeded,
            "unsuccessful_expectations": len(results) - succeeded,
            "success_percent": 100 * succeeded / len(results),
        },
        meta=meta,
    )


def _result(audit: Audit, rule: Rule, total: int) -> ExpectationValidationResult:
    findings = [f for (broken, _), f in audit.findings.items() if broken == rule]
    count = sum(f.unexpected_count for f in findings)
    # GX puts examples into the page as they are, and texts of a log can hold markup.
    examples = [
        html.escape(f"{rule.severity} {f.date}: {brief(row, audit.dataset, rule)}")
        for f in findings
        for row in f.examples
    ]
    percent = 100 * count / total if total else 0.0
    return ExpectationValidationResult(
        success=not findings,
        expectation_config=expectation(rule).configuration,
        result={
            "element_count": total,
            "unexpected_count": count,
            "unexpected_percent": percent,
            "unexpected_percent_total": percent,
            "missing_count": 0,
            "missing_percent": 0.0,
            "partial_unexpected_list": examples,
        },
    )
