"""`nightjar explain`: for every stage, ran / cached / would run, and why."""

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--date", help="Logical day, YYYY-MM-DD. Default: as for run.")
@click.option("--lake", default="", help="Lake URL. Default: the last run's.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting.")
def explain(config: Path | None, date: str | None, lake: str, overrides: tuple[str, ...]) -> None:
    """Say for every stage whether it is cached or would run, and which input, setting or source file decides it.

    Without CONFIG it explains the last run: what it did then, and what the same command would do now.
    """
    from flows.cli.run import parse_date
    from flows.config import load_config
    from flows.environment import home_folder, prepare
    from flows.runs import last_run

    home = home_folder()
    record = None
    if config is None:
        record = last_run(home)
        config, overrides = Path(record.config) if record.config else None, (*record.overrides, *overrides)
        lake, date = lake or record.lake, date or record.date
    settings = load_config(config, overrides, record.settings if record else None)
    prepare(home)
    from flows.run import NightRequest, plan_request

    request = NightRequest(config=settings, date=parse_date(date), lake=lake or str(home / "lake"))
    print_plan(request.open_lake(home), plan_request(request, home), record)


def print_plan(lake: Any, plan: Any, record: Any = None, force: frozenset[str] = frozenset()) -> None:
    """One line a stage: what it did in the recorded run, what it would do now, why."""
    from rich.console import Console
    from rich.table import Table

    from tasks.explain import explain as explain_step

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
        verdict = "[yellow]would run[/]" if runs else "[blue]cached[/]"
        row = [step.name, days, verdict, why]
        if record:
            was = then.get(step.name, {})
            reason = f" ({was['why']})" if was.get("state") == "ran" and was.get("why") else ""
            row.insert(0, f"{was.get('state', 'not run')}{reason}")
        table.add_row(*row)
    Console(width=None if Console().is_terminal else 160).print(table)
