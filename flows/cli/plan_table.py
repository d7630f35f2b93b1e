"""A plan as a table: what every stage did, what it would do now, and why."""

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from flows.cli.terminal import Console
from tasks.engine.explain import explain as explain_step
from tasks.engine.lake import Lake

if TYPE_CHECKING:
    from flows.night.plan import Plan
    from flows.night.records import RunRecord


def print_plan(
    lake: Lake, plan: "Plan", record: "RunRecord | None" = None, force: frozenset[str] = frozenset()
) -> None:
    """One line a stage: what it did in the recorded run, what it would do now, why."""
    then = {s["step"]: s for s in record.steps} if record else {}
    table = Table(box=None, pad_edge=False, header_style="bold")
    if record:
        table.add_column(f"in run {record.id}")
    for name in ("stage", "days", "now", "why"):
        table.add_column(name, overflow="fold")
    for step in plan.steps:
        found = explain_step(lake, step)
        runs = [e for e in found if e.verdict == "run"]
        reasons = [r for e in (runs or found[:1]) for r in e.reasons]
        if step.name in force:
            runs, reasons = found, ["forced"]
        shown = list(dict.fromkeys(reasons))
        why = "; ".join(shown[:5]) + (f"; and {len(shown) - 5} more" if len(shown) > 5 else "")
        days = f"{len(runs)} of {len(found)}" if len(found) > 1 else found[0].date
        verdict = Text("would run", style="yellow") if runs else Text("cached", style="blue")
        row: list[str | Text] = [step.name, days, verdict, why]
        if record:
            was = then.get(step.name, {})
            reason = f" ({was['why']})" if was.get("state") == "ran" and was.get("why") else ""
            row.insert(0, f"{was.get('state', 'not run')}{reason}")
        table.add_row(*row)
    Console(width=None if Console().is_terminal else 160).print(table)
