"""`nightjar gc`: find, and delete, what nothing needs."""

import time
from typing import TYPE_CHECKING

import click

from flows.cli.plain_text import echo

if TYPE_CHECKING:
    from flows.housekeeping import Garbage


@click.command()
@click.option("--keep-days", default=14, show_default=True, type=click.IntRange(0), help="Keep runs younger than this.")
@click.option("--delete", is_flag=True, help="Delete; without it, only say what would go.")
@click.option(
    "--grace-hours",
    default=24.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Delete only what nothing has needed for so long, as far as this command has looked.",
)
@click.option("--lake", "url", default="", help="Lake URL. Default: the home's.")
def gc(keep_days: int, delete: bool, grace_hours: float, url: str) -> None:
    """Find artifacts that nothing needs: no night, backfill or sweep that runs or was interrupted lately, no recent
    run, no release and no `current` pointer; and old copies of releases.

    What is found is marked. `--delete` removes what an earlier look has marked, the grace hours ago or more, and what
    still nothing needs: run it every day.
    """
    from flows.home import home_folder, prepare
    from flows.housekeeping import garbage, marked
    from flows.night.lakes import named_lake, open_lake
    from flows.registry import answer_soon

    home = home_folder()
    prepare(home)
    answer_soon()
    lake = open_lake(home, named_lake(home, url))
    found = garbage(home, lake, keep_days)
    since = marked(lake, found)
    due = [one for one in found if time.time() - since[one.name] >= grace_hours * 3600]
    gone = []
    for one in found:
        echo(f"{one.bytes / 2**20:9.1f} MiB  {one.name}{'' if one in due else '  (marked)'}")
        if delete and one in due and one.remove():
            gone.append(one)
    if delete:
        echo(f"{_told(gone)} deleted")
    if waiting := [one for one in found if one not in due]:
        echo(f"{_told(waiting)} marked; --delete removes them in {grace_hours:g} hours (--grace-hours 0: now)")
    elif not delete:
        echo(f"{_told(due)} would be deleted with --delete")


def _told(some: "list[Garbage]") -> str:
    return f"{len(some)} artifacts, {sum(one.bytes for one in some) / 2**20:.1f} MiB"
