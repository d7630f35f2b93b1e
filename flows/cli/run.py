"""`nightjar run`: one night, with live progress, and what came out of it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.cli.options import parse_date
from flows.cli.plain_text import echo

if TYPE_CHECKING:
    from flows.night.plan import Plan
    from flows.night.request import NightRequest


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--date", help="Logical day, YYYY-MM-DD. Default: the config's, or the log's last full day.")
@click.option(
    "--lake", default="", help="Lake URL: a folder, s3://bucket/prefix, gs://..., abfs://... Default: the home's."
)
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
    from flows.home import home_folder, prepare
    from flows.service.own_server import start_server

    settings, day = load_config(config, overrides), parse_date(date)
    home = home_folder()
    prepare(home)
    if not dry_run:
        start_server(home)  # while it starts, this process imports Prefect
    from flows.night.lakes import named_lake
    from flows.night.request import NightRequest
    from flows.nightly import plan_request

    request = NightRequest(
        config=settings,
        date=day,
        lake=named_lake(home, lake),
        from_stage=from_stage or "",
        force=tuple(force),
        sequential=sequential,
        config_name=str(config),
        overrides=tuple(overrides),
    )
    plan = plan_request(request, home)
    if dry_run:
        from flows.cli.plan_table import print_plan

        print_plan(request.open_lake(home), plan, force=request.forced(plan))
        return
    _run(request, plan, home)


def _run(request: "NightRequest", plan: "Plan", home: Path) -> None:
    from flows.cli.display import Display
    from flows.cli.log_file import log_to
    from flows.cli.summary import elsewhere, print_summary
    from flows.night.records import folder
    from flows.night.run import run
    from tasks.registry.registry import Registry

    log_to(folder(home, request.id) / "log.txt")
    for note in plan.notes:
        echo(f"note: {note}")
    from flows.cli.terminal import styled

    try:
        with Display(plan.steps) as display:
            summary = run(request, plan, home, display)
    finally:
        for note in elsewhere(home, request.lake, Registry(home, request.config.resources.registry).uri):
            echo(f"note: {note}")
    for warning in display.warnings:
        display.console.print(styled("[yellow]warning[/] {}", warning), soft_wrap=True)
    print_summary(request, home, plan, summary, display.console)
