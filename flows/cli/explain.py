"""`nightjar explain`: for every stage, ran / cached / would run, and why."""

from pathlib import Path

import click


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--date", help="Logical day, YYYY-MM-DD. Default: as for run.")
@click.option("--lake", default="", help="Lake URL. Default: the home's; of the last run its own.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting.")
def explain(config: Path | None, date: str | None, lake: str, overrides: tuple[str, ...]) -> None:
    """Say for every stage whether it is cached or would run, and which input, setting or source file decides it.

    Without CONFIG it explains the last run: what it did then, and what the same command would do now.
    """
    from flows.cli.options import parse_date
    from flows.cli.plan_table import print_plan
    from flows.config import load_config
    from flows.home import home_folder, prepare
    from flows.night.records import last_run

    home = home_folder()
    record = None
    if config is None:
        record = last_run(home)
        config, overrides = Path(record.config) if record.config else None, (*record.overrides, *overrides)
        date = date or record.date
    settings = load_config(config, overrides, record.settings if record else None)
    prepare(home)
    from flows.night.lakes import named_lake
    from flows.night.request import NightRequest
    from flows.nightly import plan_request

    place = record.lake_in(home) if record and not lake else named_lake(home, lake)
    request = NightRequest(config=settings, date=parse_date(date), lake=place)
    print_plan(request.open_lake(home), plan_request(request, home), record)
