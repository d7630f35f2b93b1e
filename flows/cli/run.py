"""`nightjar run`: one night, with live progress, and what came out of it."""

import logging
from datetime import date as Date
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from expectations.errors import UserError


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--date", help="Logical day, YYYY-MM-DD. Default: the config's, or the log's last full day.")
@click.option("--lake", default="", help="Lake URL: a folder, s3://bucket/prefix, gs://..., abfs://...")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting; may be repeated.")
@click.option("--from", "from_stage", metavar="STAGE", help="Run this stage and everything after it again.")
@click.option("--force", "force", multiple=True, metavar="STAGE", help="Run this stage again; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Show what would run, and why; write nothing.")
@click.option("--sequential", is_flag=True, help="One stage at a time, for exact seconds and memory per stage.")
def run(
    config: Path,
    date: str | None,
    lake: str,
    overrides: tuple[str, ...],
    from_stage: str | None,
    force: tuple[str, ...],
    dry_run: bool,
    sequential: bool,
) -> None:
    """Run one whole night: log to release. Exits with 0 only if the release was made.

    What stands in the lake already is cached; a night that was interrupted continues where it stopped.
    """
    from flows.config import load_config
    from flows.environment import home_folder, prepare
    from flows.service.own_server import start_server

    settings, day = load_config(config, overrides), parse_date(date)
    home = home_folder()
    prepare(home)
    if not dry_run:
        start_server(home)  # while it starts, this process imports Prefect
    from flows.run import NightRequest, plan_request

    request = NightRequest(
        config=settings,
        date=day,
        lake=lake or str(home / "lake"),
        from_stage=from_stage or "",
        force=tuple(force),
        sequential=sequential,
        config_name=str(config),
        overrides=tuple(overrides),
    )
    if dry_run:
        from flows.cli.explain import print_plan

        print_plan(
            request.open_lake(home), plan_request(request, home), force=request.forced(plan_request(request, home))
        )
        return
    _run(request, home)


def parse_date(text: str | None, name: str = "--date") -> Date | None:
    """An ISO date, or None for none; `name` is what the user calls it.

    Raises:
        UserError: no such day.
    """
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise UserError(f"{name} {text}: no such day; write YYYY-MM-DD, such as 2026-03-01") from None


def _run(request: Any, home: Path) -> None:
    from flows.cli.display import Display
    from flows.cli.summary import print_summary
    from flows.run import begin, execute
    from flows.runs import folder

    started = begin(request, home)
    # A log that cannot be written, on a full disk say, must not hide the message that says so.
    logging.raiseExceptions = False
    log = folder(home, started.record.id) / "log.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=log, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    for note in started.plan.notes:
        click.echo(f"note: {note}")
    with Display(started.plan.steps) as display:
        summary = execute(started, display)
    for warning in display.warnings:
        display.console.print(f"[yellow]warning[/] {warning}", highlight=False, soft_wrap=True)
    print_summary(started, summary, display.console)
