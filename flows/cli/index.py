"""`nightjar index add`: new items between nights."""

import json
from pathlib import Path

import click

from expectations.errors import UserError
from flows.cli.plain_text import echo

REGISTRY = click.option("--registry", "url", default="", help="Registry URL. Default: the home's.")


@click.group()
def index() -> None:
    """The index of a release, between nights."""


@index.command()
@click.argument("items", required=False, type=click.Path(path_type=Path))
@click.option("--remove", "removed", default="", metavar="ID,ID,...", help="Outside ids of items to remove.")
@click.option("--release", "reference", default="@champion", show_default=True, help="The release to start from.")
@click.option("--promote", is_flag=True, help="Make the new version the champion; needs --why.")
@click.option("--why", default="", help="Why; kept in the ledger.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@REGISTRY
def add(items: Path | None, removed: str, reference: str, promote: bool, why: str, as_json: bool, url: str) -> None:
    """Add ITEMS (CSV or Parquet) to a release, as a new version with a delta shard.

    ITEMS has a column external_id and any columns of the dataset `items` (`nightjar show items`); lists in a CSV have
    | between their values. New items get their vectors from the release's own item tower; recall is measured again.
    The new version is a candidate; what the index of the base holds is not copied again by those who pull it.
    """
    import pyarrow as pa

    from flows.registry import find_release, open_registry
    from tasks.registry.ledger import Ledger, check_why, head
    from tasks.releases.new_items import add_items, read_items

    if items is None and not removed:
        raise UserError("give a file with new items, or --remove ID,ID,...")
    if promote:
        check_why(why)
    registry = open_registry(url)
    ledger = Ledger(registry)
    ledger.repair()
    newest = head(ledger.entries())
    version = find_release(registry, reference)
    table = read_items(items) if items else pa.table({"external_id": pa.array([], pa.string())})
    gone = [i.strip() for i in removed.split(",") if i.strip()]
    made, done = add_items(registry, version, table, gone, registry.home / "scratch")
    if promote:
        # Who has moved the champion since then started from other items, which must not be lost unseen.
        ledger.move(made.number, why, after=newest.sequence if newest else 0)
    facts = {
        "version": made.number, "base": version.number, "added": done.added, "removed": done.removed,
        "num_items": done.num_items, "recall": done.recall, "recall_k": done.recall_k, "champion": promote,
    }  # fmt: skip
    if as_json:
        return echo(json.dumps(facts, indent=2))
    echo(
        f"{made.name}: version {version.number} with {done.added} items more and {done.removed} fewer, "
        f"{done.num_items:,} in all; recall@{done.recall_k} {done.recall:.3f}, base and delta together"
    )
    if not promote:
        echo(f'it is a candidate; make it the champion: nightjar promote {made.number} --why "..."')
    return None
