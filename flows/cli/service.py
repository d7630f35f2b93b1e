"""`nightjar up`, `down`, `status` and `logs`: the service around the nights."""

import json
from pathlib import Path
from typing import Any

import click

from flows.cli.plain_text import echo


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Run config whose settings the nights start from.")
@click.option("--prefect-port", type=click.IntRange(1024, 65535), help="Default: 4200, or the next free one.")
@click.option("--mlflow-port", type=click.IntRange(1024, 65535), help="Default: 5000, or the next free one.")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes. Default: 1.")
@click.option(
    "--prefect-database",
    metavar="URL",
    envvar="NIGHTJAR_PREFECT_DATABASE",
    help="postgresql://... instead of SQLite below the home.",
)
@click.option("--mlflow-database", metavar="URL", envvar="NIGHTJAR_MLFLOW_DATABASE", help="The same for MLflow.")
@click.option("--auth", metavar="USER:PASSWORD", envvar="NIGHTJAR_AUTH", help="Both servers ask for it.")
@click.option("--notify", metavar="URL", envvar="NIGHTJAR_NOTIFY", help="Post failed, crashed and late runs there.")
@click.option(
    "--allow-hosts",
    metavar="HOST,HOST:PORT,...",
    envvar="NIGHTJAR_ALLOW_HOSTS",
    help="Names under which people reach the servers, such as a proxy's; loopback is always one.",
)
def up(config: Path | None, **choices: Any) -> None:
    """Start Prefect, MLflow and the workers on loopback, and register the deployments.

    Again, it changes nothing, or mends what is broken. What was chosen once is remembered; an empty text forgets it.
    What others should not read on the command line may stand in NIGHTJAR_AUTH, NIGHTJAR_PREFECT_DATABASE,
    NIGHTJAR_MLFLOW_DATABASE and NIGHTJAR_NOTIFY.
    """
    from flows.config import load_config
    from flows.home import home_folder, prepare
    from flows.service.service import up as bring_up
    from flows.service.settings import load_settings
    from tasks.machine.home import told

    if config:
        load_config(config)
    home = home_folder()
    prepare(home)
    settings = load_settings(home).changed(config=told(home, str(config.resolve())) if config else None, **choices)
    services = bring_up(home, settings, echo)
    echo(f"Prefect   {services['prefect'].url}\nMLflow    {services['mlflow'].url}")
    echo(f"workers   {', '.join(n for n in services if n not in ('prefect', 'mlflow'))}")


@click.command()
def down() -> None:
    """End workers, the runs they carry, then the servers; what was published stands."""
    from flows.home import home_folder
    from flows.service.service import down as take_down

    take_down(home_folder(), echo)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(as_json: bool) -> None:
    """Processes, schedule, last and next night, newest release; what is not well, with the remedy: then exits with 1.

    Servers are asked for something of their database, workers for their heartbeat; lake, disk and schedule are looked
    at. Nothing is waited for longer than a few seconds.
    """
    from flows.cli.status import look
    from flows.home import home_folder

    found = look(home_folder())
    if as_json:
        echo(json.dumps(found, indent=2))
    else:
        _print(found)
    if not found["well"]:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("service", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on as they grow.")
@click.option("-n", "--lines", default=20, show_default=True, type=click.IntRange(0), help="Last lines of each.")
def logs(service: str | None, follow: bool, lines: int) -> None:
    """Show what the processes of the service have written: prefect, mlflow, nightjar-1, ...; default: all."""
    from flows.home import home_folder
    from flows.service.logs import tail

    for line in tail(home_folder(), service, lines, follow):
        echo(line)


def _print(found: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from flows.cli.terminal import Console

    console = Console()
    if not found["services"]:
        console.print(f"nothing is up in {found['home']}; start with: nightjar up", highlight=False)
    else:
        table = Table("service", "state", "pid", "address", box=None, header_style="bold", pad_edge=False)
        for s in found["services"]:
            style = "green" if s["state"] == "up" else "bold red"
            table.add_row(s["name"], Text(s["state"], style=style), str(s["pid"]), s["url"])
        console.print(table)
    lines = [
        *(
            ("schedule", f"{s['deployment']}  {s['when']}  {s['timezone']}" + ("" if s["active"] else "  paused"))
            for s in found["schedule"]
        ),
        ("last night", _sentence(found["last_night"], "date", "state", "seconds", "error")),
        ("next night", _sentence(found["next_night"], "at", "state", "name")),
        ("newest release", _sentence(found["release"], "version", "date", "aliases")),
    ]
    for name, value in lines:
        console.print(f"{name:<15} {value}", highlight=False, soft_wrap=True)
    if not found["well"]:
        console.print("something is not well:", style="yellow")
        for trouble in found["troubles"]:
            line = f"  {trouble['about']}: {trouble['what']}; {trouble['remedy']}"
            console.print(line, style="yellow", highlight=False, soft_wrap=True, markup=False)


def _sentence(facts: dict[str, Any] | None, *names: str) -> str:
    return "  ".join(f"{n} {facts[n]}" for n in names if facts[n]) if facts else "none"
