"""What a night shows in Prefect's UI: a page to read, the stage table, the report's tables, and where the rest is.

A browser does not open files from a page that came over the network, so nothing here links to one. Where an MLflow
server shows the registry, report and version are links to its pages, which show the report itself; everything else is
told as a path.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from flows.service.state import load
from tasks.engine.lake import Artifact
from tasks.engine.running import Outcome
from tasks.registry.registry import MODEL, Registry
from tasks.stages.report import head_for_prefect, tables_for_prefect

MLFLOW_URL = "NIGHTJAR_MLFLOW_URL"
"""Environment variable: address at which people reach the MLflow server that shows the registry."""


def show_stages(outcomes: Sequence[Outcome]) -> None:
    """Attach the stage table to the flow run at hand, however that ends."""
    create_table_artifact([_row(o) for o in outcomes], key="stages", description="What each stage did")


def show_results(made: Mapping[str, Artifact], summary: Mapping[str, Any], registry: Registry) -> None:
    """Attach what came out of a night to the flow run at hand."""
    pages = _mlflow_pages(registry, summary)
    links = {
        "version": pages.get("release", f"{MODEL} {summary['version']} in {summary['registry']}"),
        "report": pages.get("report", summary["report"]),
        "data docs": summary["data_docs"],
        "bundle": summary["bundle"],
    }
    create_markdown_artifact(head_for_prefect(made["report"], links), key="night", description="What came out")
    create_table_artifact(summary["gates"]["verdicts"], key="gates", description=summary["gates"]["decision"])
    for key, title, rows in tables_for_prefect(made["report"]):
        create_table_artifact(rows, key=key, description=title)
    words = {"release": f"{MODEL} version {summary['version']}", "report": f"report of {summary['date']}"}
    for key, text in words.items():
        if key in pages:
            create_link_artifact(pages[key], link_text=text, key=key, description=f"MLflow: {text}")
        else:
            place = summary["registry"] if key == "release" else summary["report"]
            create_markdown_artifact(f"**{text}**\n\n`{place}`", key=key, description=text)
    create_markdown_artifact(f"`{summary['data_docs']}`", key="data-docs", description="Data Docs: every audit")


def _row(outcome: Outcome) -> dict[str, Any]:
    seconds = round(outcome.seconds, 2)
    return {
        "stage": outcome.step,
        "state": outcome.state,
        "seconds": seconds,
        "rows": outcome.rows,
        "days": f"{outcome.ran} of {outcome.cells}",
    }


def _mlflow_pages(registry: Registry, release: Mapping[str, Any]) -> dict[str, str]:
    """Pages of MLflow's UI about a release; none when no server is known."""
    parts = urlsplit(os.environ.get(MLFLOW_URL) or _served(registry))
    if parts.scheme not in ("http", "https"):
        return {}
    # Never the user and password that an address may hold.
    base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}/#"
    run = f"{base}/experiments/{registry.experiment_id()}/runs/{release['run_id']}"
    return {
        "release": f"{base}/models/{MODEL}/versions/{release['version']}",
        "report": f"{run}/artifacts/report/report.html",
    }


def _served(registry: Registry) -> str:
    """The registry's address; of one that is a file of the home, that of the home's own MLflow server when it runs."""
    server = load(registry.home, "mlflow") if registry.uri.startswith("sqlite:") else None
    return server.url if server and server.process() else registry.uri
