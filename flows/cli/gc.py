"""`nightjar gc`: find, and delete, what nothing needs."""

import click


@click.command()
@click.option("--keep-days", default=14, show_default=True, type=click.IntRange(0), help="Keep runs younger than this.")
@click.option("--delete", is_flag=True, help="Delete; without it, only say what would go.")
def gc(keep_days: int, delete: bool) -> None:
    """Find artifacts that no recent run, no release and no `current` pointer refers to, and old copies of releases."""
    from flows.home import home_folder, prepare
    from flows.housekeeping import garbage
    from flows.night.lakes import open_lake

    home = home_folder()
    prepare(home)
    found = garbage(home, open_lake(home), keep_days)
    for item in found:
        click.echo(f"{item.bytes / 2**20:9.1f} MiB  {item.name}")
        if delete:
            item.remove()
    total = sum(item.bytes for item in found) / 2**20
    verb = "deleted" if delete else "would be deleted with --delete"
    click.echo(f"{len(found)} artifacts, {total:.1f} MiB {verb}")
