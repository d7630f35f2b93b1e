"""What `nightjar run` prints when a night is done: what came out, how good it is, where to look."""

from pathlib import Path
from typing import Any

from rich.table import Table

from expectations.passwords import redacted
from flows.cli.terminal import Console, styled
from flows.night.plan import Plan
from flows.night.records import folder
from flows.night.request import NightRequest
from tasks.engine.lake import Artifact, Lake, Ref
from tasks.machine.home import lake_of
from tasks.registry.registry import Registry


def print_summary(request: NightRequest, home: Path, plan: Plan, summary: dict[str, Any], console: Console) -> None:
    """Quality beside random, popularity and oracle, index recall, the release, and the paths to all of it."""
    lake = request.open_lake(home)
    evaluation, index = (_artifact(lake, plan.step(name).made.ref) for name in ("evaluation", "index"))
    console.print()
    console.print(quality_table(evaluation))
    console.print(
        f"index recall@{index.notes.get('recall_k', 100)} {summary['recall']:.3f} ({index.notes.get('type', '')})",
        highlight=False,
    )
    console.print(
        styled(
            "\n[bold green]released[/] nightjar-recommender version {} for {}\n", summary["version"], summary["date"]
        )
    )
    gates = summary["gates"]
    for verdict in gates["verdicts"]:
        mark = "[green]passed[/]" if verdict["passed"] else "[red]failed[/]"
        console.print(styled(f"gate {mark} {{}}: {{}}", verdict["gate"], verdict["figures"]), soft_wrap=True)
    console.print(f"{gates['decision']}\n", highlight=False, soft_wrap=True)
    rows = {
        "report": summary["report"],
        "data docs": summary["data_docs"],
        "bundle": summary["bundle"],
        "registry": summary["registry"],
        "lake": lake.url,
        "log": folder(home, request.id) / "log.txt",
        "why each stage ran": "nightjar explain",
    }
    for name, value in rows.items():
        console.print(f"{name:<19} {value}", highlight=False, soft_wrap=True)


def elsewhere(home: Path, lake: str, registry: str) -> list[str]:
    """How later commands reach what a night has made in another lake or registry than its home's."""
    own = {"lake": lake_of(home), "registry": Registry(home).uri}
    return [
        f"this night's {name} is not the home's; later commands reach it with --{name} {redacted(used)}, and without "
        f"after: nightjar home --{name} {redacted(used)}"
        for name, used in (("lake", lake), ("registry", registry))
        if used != own[name]
    ]


def _artifact(lake: Lake, ref: Ref) -> Artifact:
    """One that the night has just made sure of."""
    return Artifact(ref, lake.local(ref))


def quality_table(evaluation: Artifact) -> Table:
    """Every system by its figures over all judged users."""
    k = evaluation.notes.get("primary_k", 10)
    table = Table(
        box=None, pad_edge=False, header_style="bold", title="quality on the judged days", title_justify="left"
    )
    metrics = [("ndcg", k), ("recall", k), ("hit_rate", k), ("coverage", k)]
    table.add_column("system")
    for metric, cut in metrics:
        table.add_column(f"{metric}@{cut}", justify="right")
    values = {
        (r["system"], r["metric"], r["k"]): r["value"]
        for r in evaluation.table().to_pylist()
        if r["segment"] == "all" and not r["system"].startswith("without")
    }
    systems = sorted({s for s, _, _ in values}, key=lambda s: -(values.get((s, "ndcg", k)) or 0))
    for system in systems:
        figures = [values.get((system, m, c)) for m, c in metrics]
        style = "bold" if system == "final" else ""
        table.add_row(system, *("" if v is None else f"{v:.4f}" for v in figures), style=style)
    return table
