"""`nightjar backfill`: the nights of a range of days, and what became of them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.plain_text import echo

if TYPE_CHECKING:
    from flows.backfilling.request import BackfillRequest
    from flows.backfilling.state import Backfill

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


class DaysOrCommand(click.Group):
    """`backfill 2026-03-01 2026-03-10` starts one; `backfill status ID` and the like are commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = args and args[0] in (*self.commands, "-h", "--help")
        return super().parse_args(ctx, args if named or not args else ["start", *args])

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "START END [OPTIONS] | list | status ID | resume ID | cancel ID")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.commands["start"].format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


@click.group(cls=DaysOrCommand)
def backfill() -> None:
    """Run the nights of all days from START to END (both included): only what is missing, failed or stale of each.

    What a day shares with others, such as the log of the days before it, is made once. A backfill that is stopped, in
    whatever way, is finished by `nightjar backfill resume ID`, which repeats nothing that was published.
    """


@backfill.command(hidden=True)
@click.argument("start")
@click.argument("end")
@click.option("--config", type=click.Path(path_type=Path), help="Default: the last run's, else deployments/demo.yaml.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting; may be repeated.")
@click.option("--lake", default="", help="Lake URL. Default: the home's.")
@click.option("--stages", default="", metavar="A,B", help="Only these stages, and what they need.")
@click.option("--exclude", multiple=True, metavar="DAY", help="Leave out a day; may be repeated.")
@click.option("--max-parallel", default=1, show_default=True, type=click.IntRange(1, 64), help="Nights side by side.")
@click.option(
    "--on",
    default="here",
    show_default=True,
    type=click.Choice(["here", "pool"]),
    help="Run nights in this process, or hand them to the workers of the Prefect work pool.",
)
@click.option("--order", default="forward", show_default=True, type=click.Choice(["forward", "backward"]))
@click.option("--on-failure", default="stop", show_default=True, type=click.Choice(["stop", "continue"]))
@click.option("--retries", default=0, show_default=True, type=click.IntRange(0, 10), help="Of a day that failed.")
@click.option(
    "--rerun",
    default="missing,failed,stale",
    show_default=True,
    metavar="KINDS",
    help="Which days run: missing, failed, stale (made from other settings, code or inputs), or all, anew.",
)
@click.option("--promote", is_flag=True, help="Move `champion` to the newest day's release; otherwise it stays.")
@click.option("--dry-run", is_flag=True, help="Show what would run, and why; write nothing.")
@AS_JSON
def start(start: str, end: str, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Start a backfill."""
    request = _request(start, end, options)
    if dry_run:
        return _dry_run(request, as_json)
    from flows.backfilling.state import Backfill
    from flows.home import home_folder, prepare
    from flows.service.own_server import start_server

    home = home_folder()
    prepare(home)
    start_server(home)  # before planning imports Prefect
    if request.stages:
        _check_stages(request, home)
    return _carry_out(Backfill.create(home, request), as_json)


@backfill.command("list")
@AS_JSON
def list_(as_json: bool) -> None:
    """List backfills, newest first."""
    from flows.backfilling.state import all_backfills
    from flows.home import home_folder

    found = [b.to_dict() for b in all_backfills(home_folder())]
    if as_json:
        return _print_json([{k: v for k, v in one.items() if k != "days"} for one in found])
    for one in found:
        days = f"{one['request']['start']} to {one['request']['end']}"
        echo(f"{one['id']}  {one['state']:<12} {days}  {_in_words(one['counts'])}")
    if not found:
        echo("no backfill yet; start one: nightjar backfill START END")
    return None


@backfill.command()
@click.argument("id_", metavar="ID")
@AS_JSON
def status(id_: str, as_json: bool) -> None:
    """Show a backfill as a calendar, with what runs, what failed and why. Exits with 1 when a day has failed."""
    from flows.backfilling.state import find_backfill
    from flows.home import home_folder

    one = find_backfill(home_folder(), id_)
    summary = one.to_dict()
    if as_json:
        _print_json(summary)
    else:
        from flows.cli.backfill_display import whole
        from flows.cli.terminal import Console

        Console().print(whole(one, one.days()))
    click.get_current_context().exit(1 if summary["counts"].get("failed") else 0)


@backfill.command()
@click.argument("id_", metavar="ID")
@AS_JSON
def resume(id_: str, as_json: bool) -> None:
    """Finish a backfill that was stopped, killed or cancelled, or that failed; what has succeeded is not repeated."""
    from flows.backfilling.state import find_backfill
    from flows.home import home_folder, prepare
    from flows.service.own_server import start_server

    home = home_folder()
    one = find_backfill(home, id_)
    prepare(home)
    start_server(home)
    _carry_out(one, as_json)


@backfill.command()
@click.argument("id_", metavar="ID")
@AS_JSON
def cancel(id_: str, as_json: bool) -> None:
    """Stop a backfill: days in the queue are left out, what runs ends now, what is published stands."""
    from flows.backfilling.cancelling import cancel as cancel_one
    from flows.backfilling.state import find_backfill
    from flows.home import home_folder, prepare

    home = home_folder()
    one = find_backfill(home, id_)
    prepare(home)
    cancel_one(one)
    if as_json:
        return _print_json(one.to_dict())
    echo(f"cancelled {one.id}: {_in_words(one.to_dict()['counts'])}; resume: nightjar backfill resume {one.id}")
    return None


def _request(start: str, end: str, options: dict[str, Any]) -> "BackfillRequest":
    """A request from the command line, with the settings read and checked."""
    from flows.backfilling.request import BackfillRequest
    from flows.cli.options import parse_date
    from flows.config import load_config
    from flows.home import home_folder
    from flows.night.lakes import named_lake
    from flows.night.records import all_runs
    from tasks.engine.stage import plain

    home = home_folder()
    # Runs that Prefect started have no file to read again.
    last = next((run for run in reversed(all_runs(home)) if run.config), None)
    config, overrides, lake = options["config"], options["overrides"], options["lake"]
    if config is None:
        config = Path(last.config) if last else Path("deployments/demo.yaml")
        # Where the last run ran and released says nothing of where this shall.
        kept = [one for one in (last.overrides if last else ()) if not one.startswith("resources.")]
        overrides = (*kept, *overrides)
    days = [parse_date(day, name) for name, day in (("START", start), ("END", end))]
    return BackfillRequest(
        start=str(days[0]),
        end=str(days[1]),
        config=plain(load_config(config, overrides)),
        config_name=str(config),
        overrides=tuple(overrides),
        lake=named_lake(home, lake),
        stages=tuple(filter(None, options["stages"].split(","))),
        exclude=tuple(str(parse_date(day, "--exclude")) for day in options["exclude"]),
        max_parallel=options["max_parallel"],
        on=options["on"],
        order=options["order"],
        on_failure=options["on_failure"],
        retries=options["retries"],
        rerun=tuple(filter(None, options["rerun"].split(","))),
        promote=options["promote"],
    )


def _check_stages(request: "BackfillRequest", home: Path) -> None:
    """Refuse an unknown stage before anything is written down."""
    from flows.backfilling.work import WorkList
    from flows.night.lakes import open_lake
    from flows.nightly import plan_request

    next(WorkList(request, home, open_lake(home, request.lake), [], plan_request).days(), None)


def _dry_run(request: "BackfillRequest", as_json: bool) -> None:
    from flows.backfilling.work import WorkList
    from flows.cli.backfill_plan import print_work, work_as_json
    from flows.home import home_folder
    from flows.night.lakes import open_lake
    from flows.night.records import all_runs
    from flows.nightly import plan_request

    home = home_folder()
    lake = open_lake(home, request.lake)
    days = list(WorkList(request, home, lake, all_runs(home), plan_request).days())
    if as_json:
        return _print_json(work_as_json(request, days))
    return print_work(request, days)


def _carry_out(one: "Backfill", as_json: bool) -> None:
    """Run it under Prefect; its id and how to resume it are printed before anything heavy is imported."""
    echo(f"backfill {one.id}\nresume:  nightjar backfill resume {one.id}", err=as_json)
    from prefect import tags

    from flows.backfill import LISTENERS
    from flows.backfill import backfill as flow
    from flows.cli.backfill_display import BackfillDisplay
    from flows.cli.log_file import log_to
    from flows.service.own_server import await_server
    from tasks.machine.home import told

    log_to(one.folder / "log.txt")
    from datetime import date as Date

    first, last = (Date.fromisoformat(day) for day in (one.request.start, one.request.end))
    await_server()
    try:
        with BackfillDisplay(one, quiet=as_json) as LISTENERS[one.id], tags(one.tag):
            flow(start=first, end=last, resume=one.id, lake=told(one.home, one.request.lake))
    finally:
        if as_json:
            _print_json(one.to_dict())


def _print_json(value: Any) -> None:
    echo(json.dumps(value, indent=2, sort_keys=False, default=str))


def _in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {state}" for state, n in counts.items()) or "nothing planned yet"
