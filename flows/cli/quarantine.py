"""`nightjar quarantine`: what failed its audit, and what becomes of it."""

import click

from expectations.errors import UserError
from flows.cli.plain_text import echo

LAKE = click.option("--lake", "url", default="", help="Lake URL. Default: the home's.")


@click.group()
def quarantine() -> None:
    """What failed its audit waits here, whole, until somebody decides."""


@quarantine.command("list")
@LAKE
def list_(url: str) -> None:
    """List what is in quarantine."""
    from tasks.engine.quarantine import quarantined

    entries = quarantined(_lake(url))
    for entry in entries:
        findings = entry.report["findings"]
        echo(f"{entry.id}  {len(findings)} findings  {findings[0]['message'] if findings else ''}")
    if not entries:
        echo("quarantine is empty")


@quarantine.command("show")
@click.argument("id_", metavar="ID")
@LAKE
def show(id_: str, url: str) -> None:
    """Show one entry: dataset, expectation, count and example rows of every finding."""
    from rich.table import Table

    from flows.cli.terminal import Console, styled
    from tasks.engine.quarantine import find

    entry = find(_lake(url), id_)
    console = Console()
    console.print(styled("[bold]{}[/]  [dim]{}[/]", entry.id, entry.path))
    for finding in entry.report["findings"]:
        console.print(styled("\n[red]{}[/]", finding["message"]))
        examples = finding.get("examples", [])
        if examples:
            names = [n for n in examples[0] if any(row.get(n) is not None for row in examples)]
            table = Table(*names, box=None, header_style="bold")
            for row in examples:
                table.add_row(*(str(row.get(n)) for n in names))
            console.print(table)
    console.print(
        f"\nfix the source and run the night again, or accept it as it is:\n"
        f'  nightjar quarantine release {entry.id} --why "..."'
    )


@quarantine.command("release")
@click.argument("id_", metavar="ID")
@click.option("--why", required=True, help="Reason, kept in the manifests.")
@LAKE
def release(id_: str, why: str, url: str) -> None:
    """Accept an entry as it is: publish it, with its findings and the reason in its manifests."""
    from tasks.engine.quarantine import find
    from tasks.engine.quarantine import release as publish

    if not why.strip():
        raise UserError("--why is empty; say why this data is acceptable")
    lake = _lake(url)
    for ref in publish(lake, find(lake, id_), why):
        echo(f"published {ref.folder}")


def _lake(url: str):  # type: ignore[no-untyped-def]  # Lake: imported late
    from flows.home import home_folder
    from flows.night.lakes import named_lake, open_lake

    home = home_folder()
    return open_lake(home, named_lake(home, url))
