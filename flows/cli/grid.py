"""`nightjar grid`: a sweep over settings, and what became of earlier ones."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.plain_text import echo

if TYPE_CHECKING:
    from flows.cli.terminal import Console
    from flows.grid.request import GridRequest

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


class FileOrCommand(click.Group):
    """`grid FILE.yaml` starts or continues a sweep; `grid list` and `grid show ID` are commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = args and args[0] in (*self.commands, "-h", "--help")
        return super().parse_args(ctx, args if named or not args else ["start", *args])

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "GRID.yaml [OPTIONS] | list | show ID")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.commands["start"].format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


@click.group(cls=FileOrCommand)
def grid() -> None:
    """Judge every configuration of a file such as deployments/grid.yaml on the same night.

    What they share is trained once. A sweep that was stopped, in whatever way, is continued by the same command; one
    that is complete is only read again.
    """


@grid.command(hidden=True)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting of the night.")
@click.option("--objective", "objectives", multiple=True, metavar="NAME", help="What decides; several make a front.")
@click.option("--search", "method", type=click.Choice(["grid", "random", "tpe"]), help="Override search.method.")
@click.option("--trials", type=click.IntRange(1), help="Override search.trials.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Override search.minutes.")
@click.option("--only", multiple=True, metavar="SWEEP", help="Only this sweep of the file; may be repeated.")
@click.option("--max-parallel", default=0, type=click.IntRange(0, 64), help="Side by side. Default: resources.threads.")
@click.option("--date", help="Logical day, YYYY-MM-DD. Default: that of a night.")
@click.option("--lake", default="", help="Lake URL: a folder, s3://bucket/prefix, gs://..., abfs://...")
@click.option("--dry-run", is_flag=True, help="Say how much there is to do, and how much stands; write nothing.")
def start(file: Path, dry_run: bool, **options: Any) -> None:
    """Start or continue a sweep."""
    from flows.home import home_folder, prepare
    from flows.service.own_server import start_server

    home = home_folder()
    prepare(home)
    if not dry_run:
        start_server(home)  # before planning imports Prefect
    request = _request(file, home, options)
    return _dry_run(request, home) if dry_run else _carry_out(request, home)


@grid.command("list")
@AS_JSON
def list_(as_json: bool) -> None:
    """List sweeps, newest first."""
    from flows.grid.state import all_sweeps
    from flows.home import home_folder

    found = all_sweeps(home_folder())
    if as_json:
        echo(json.dumps([_facts(one) for one in found], indent=2))
        return
    for one in found:
        best = ", ".join(f"{name} {value:.4f}" for name, value in one.best.get("figures", {}).items())
        rows = f"{one.counts.get('configurations', 0):>5} configurations"
        echo(f"{one.id}  {one.state:<11} {rows}  {best}  {one.best.get('name', '')}")
    if not found:
        echo("no sweep yet; start one: nightjar grid deployments/grid.yaml")


@grid.command()
@click.argument("id_", metavar="ID")
@AS_JSON
def show(id_: str, as_json: bool) -> None:
    """Show a sweep: its table, the best, the effect of each parameter, and where everything is."""
    from flows.cli.grid_display import print_results
    from flows.grid.state import find_sweep
    from flows.home import home_folder

    one = find_sweep(home_folder(), id_)
    if as_json:
        echo(json.dumps(_facts(one), indent=2))
        return
    echo(f"grid {one.id}: {one.state}" + (f", {one.error}" if one.error else ""))
    if (one.folder / "results.parquet").exists():
        print_results(one.folder, _console())


def _console() -> "Console":
    """A console as wide as the terminal; elsewhere it is wide enough for every column."""
    from flows.cli.terminal import Console

    return Console(width=None if Console().is_terminal else 200)


def _facts(one: Any) -> dict[str, Any]:
    return {
        "id": one.id, "state": one.state, "error": one.error, "seconds": one.seconds, "counts": one.counts,
        "best": one.best, "folder": str(one.folder),
    }  # fmt: skip


def _request(file: Path, home: Path, options: dict[str, Any]) -> "GridRequest":
    """A request from the command line, with everything read and checked."""
    from dataclasses import replace

    from expectations.errors import UserError
    from flows.cli.options import parse_date
    from flows.grid.config import load_grid
    from flows.grid.request import GridRequest
    from flows.night.lakes import named_lake

    grid, night = load_grid(file, options["overrides"])
    changed = {name: options[name] for name in ("method", "trials", "minutes") if options[name] is not None}
    if options["objectives"]:
        changed["objectives"] = tuple(n for given in options["objectives"] for n in given.split(","))
    unknown = [name for name in options["only"] if name not in grid.sweeps]
    if unknown:
        raise UserError(f"--only {unknown[0]}: no such sweep in {file}; there are {', '.join(grid.sweeps)}")
    kept = {n: s for n, s in grid.sweeps.items() if not options["only"] or n in options["only"]}
    grid = replace(grid, search=replace(grid.search, **changed), sweeps=kept)
    lake, date = named_lake(home, options["lake"]), parse_date(options["date"])
    request = GridRequest(grid, night, date, lake, options["max_parallel"])
    request.rows()  # refuses what cannot be, before anything starts
    return request


def _dry_run(request: "GridRequest", home: Path) -> None:
    from flows.grid.work import amounts
    from flows.night.lakes import open_lake

    lake, planner = open_lake(home, request.lake), request.planner(home)
    trials = [planner.plan(row) for row in request.rows()]
    if request.search.method != "grid":
        most = f"up to {request.search.trials} of each sweep" + (
            f" within {request.search.minutes:g} minutes" if request.search.minutes else ""
        )
        echo(f"search {request.search.method}: {most}; what the first of each sweep needs:")
    for name in dict.fromkeys(t.row.sweep for t in trials):
        echo(f"{name:<12} {sum(t.row.sweep == name for t in trials):>4} configurations")
    for name, amount in amounts(trials, lake).items():
        echo(f"{name:<28} {amount.total:>4}, {amount.standing} there already")


def _carry_out(request: "GridRequest", home: Path) -> None:
    """Run it under Prefect."""
    from flows.cli.grid_display import GridDisplay, print_results
    from flows.cli.log_file import log_to
    from flows.grid_search import LISTENER, grid_search
    from flows.service.own_server import await_server
    from tasks.machine.home import told

    log_to(home / "grids" / "log.txt")
    await_server()
    console = _console()
    with GridDisplay(console) as display:
        LISTENER.set(display)
        summary = grid_search(
            sweeps=request.grid.sweeps,
            search=request.search,
            date=request.date,
            lake=told(home, request.lake),
            max_parallel=request.max_parallel,
            night=request.night,
        )
    print_results(Path(summary["results"]).parent, console)
