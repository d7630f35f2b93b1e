"""`nightjar promote`, `rollback`, `history`, `compare`: which release is the champion, since when, and why."""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from expectations.errors import UserError
from flows.cli.plain_text import echo

if TYPE_CHECKING:
    from tasks.registry.ledger import Entry, Ledger

REGISTRY = click.option("--registry", "url", default="", help="Registry URL. Default: the home's.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.command()
@click.argument("version")
@click.option("--to", "alias", default="champion", show_default=True, type=click.Choice(["champion"]))
@click.option("--why", required=True, help="Why; kept in the ledger.")
@click.option("--after", type=click.IntRange(0), help="The entry that this is decided upon. Default: the newest.")
@REGISTRY
def promote(version: str, alias: str, why: str, after: int | None, url: str) -> None:
    """Make VERSION (a number, @alias or :YYYY-MM-DD) the champion. Exits with 1 when somebody else was quicker."""
    ledger = _ledger(url)
    number = ledger.registry.find(version).number
    _report(number, ledger.move(number, why, alias=alias, after=after))


@click.command()
@click.option("--to", "version", help="A number, @alias or :YYYY-MM-DD. Default: the champion before this one.")
@click.option("--days-ago", type=click.IntRange(0), help="What was the champion so many days ago.")
@click.option("--why", required=True, help="Why; kept in the ledger.")
@REGISTRY
def rollback(version: str | None, days_ago: int | None, why: str, url: str) -> None:
    """Make an earlier release the champion again."""
    from tasks.registry.ledger import champion_at, champion_before, head

    if version is not None and days_ago is not None:
        raise UserError("give --to or --days-ago, not both")
    ledger = _ledger(url)
    entries = ledger.entries()
    now = head(entries)
    if version is not None:
        number = ledger.registry.find(version).number
    elif days_ago is not None:
        then = champion_at(entries, datetime.now(UTC) - timedelta(days=days_ago))
        if then is None:
            raise UserError(f"--days-ago {days_ago}: there was no champion then; see nightjar history")
        number = ledger.at_hand()(then)
        if not number:
            raise UserError(
                f"--days-ago {days_ago}: version {then.to}, the champion then, is gone from the registry; name another "
                "with --to, see nightjar history"
            )
    else:
        before = champion_before(entries, at_hand=ledger.at_hand())
        number, gone = before.version, ", ".join(map(str, before.gone))
        if not number:
            raise UserError(
                "there is no champion before this one in the registry"
                + (f" (gone from it: version {gone})" if gone else "")
                + "; name a version with --to, see nightjar history"
            )
        if gone:
            echo(f"passed over version {gone}: gone from the registry")
    _report(number, ledger.move(number, why, action="rollback", after=now.sequence if now else 0))


@click.command()
@click.option("--on", "day", help="Which version was champion at the end of this day (UTC), YYYY-MM-DD.")
@AS_JSON
@REGISTRY
def history(day: str | None, as_json: bool, url: str) -> None:
    """Show who made which release the champion, when and why, newest first."""
    from dataclasses import asdict

    from flows.cli.options import parse_date
    from tasks.registry.ledger import champion_at, verdicts_of

    ledger = _ledger(url)
    entries = ledger.entries()
    date = parse_date(day, "--on")
    if date is not None:
        end = datetime(date.year, date.month, date.day, tzinfo=UTC) + timedelta(days=1, microseconds=-1)
        then = champion_at(entries, end)
        if then is None:
            raise UserError(f"--on {day}: there was no champion yet; see nightjar history")
        entries = [then]
    at_hand = ledger.at_hand()
    if as_json:
        return echo(json.dumps([asdict(e) | {"now": at_hand(e)} for e in reversed(entries)], indent=2))
    for entry in reversed(entries):
        echo(_line(entry, at_hand(entry)))
        for verdict in verdicts_of(entry.gates.values()):
            echo(f"      {'passed' if verdict.passed else 'failed'} {verdict}")
    for sequence in ledger.unreadable():
        echo(f"{sequence:>4}  is no entry: made or edited by hand in MLflow; it counts for nothing")
    if not entries:
        echo('no entry yet; make a release the champion: nightjar promote VERSION --why "..."')
    return None


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--lake", default="", help="Lake URL. Default: the home's.")
@AS_JSON
@REGISTRY
def compare(a: str, b: str, lake: str, as_json: bool, url: str) -> None:
    """Compare releases A and B: figures, both on the same users with p-values, overlap of lists, files that differ."""
    from flows.home import home_folder
    from flows.night.lakes import named_lake, open_lake
    from tasks.releases.comparing import compare_versions

    registry, home = _ledger(url).registry, home_folder()
    opened = open_lake(home, named_lake(home, lake))
    found = compare_versions(registry, opened, registry.find(a), registry.find(b), home / "scratch")
    if as_json:
        return echo(json.dumps(found, indent=2))
    echo(f"version {found['a']} beside version {found['b']}, each as judged in its own night")
    for part in ("metrics", "segments"):
        for name, row in found[part].items():
            echo(f"  {name:<44} {row['a']:>10.4f} {row['b']:>10.4f} {row['difference']:>+10.4f}")
    if paired := found["paired"]:
        days = " to ".join(dict.fromkeys((paired["judged_days"][0], paired["judged_days"][-1])))
        echo(f"both on the same {paired['users']:,} users of {days}, the days of version {paired['judged_by']}")
        echo(f"  {'':<44} {'A':>10} {'B':>10} {'B - A':>10}   interval            p      users")
        for name, row in paired["figures"].items():
            figures = f"{row['a']:>10.4f} {row['b']:>10.4f} {row['difference']:>+10.4f}"
            ends = f"{row['low']:+.4f} to {row['high']:+.4f}"
            echo(f"  {name:<44} {figures}   {ends}  {row['p_value']:.3f}  {row['users']:>6,}")
    if found["overlap"] is not None:
        echo(f"lists: {found['overlap']:.1%} of the places of A are also in B's list, mean over users of both")
    echo("files that differ: " + (", ".join(found["files"]) or "none"))
    for note in found["notes"]:
        echo(f"note: {note}")
    return None


def _ledger(url: str) -> "Ledger":
    """The ledger of the registry at hand; its alias is set right first, whatever happened to it."""
    from flows.registry import open_registry
    from tasks.registry.ledger import Ledger

    ledger = Ledger(open_registry(url))
    ledger.repair()
    return ledger


def _report(number: int, entry: "Entry | None") -> None:
    if entry is None:
        return echo(f"version {number} is the champion already; nothing is moved, and the ledger is as it was")
    echo(f"champion is version {entry.to}{f' (was {entry.before})' if entry.before else ''}, entry {entry.sequence}")
    return None


def _line(entry: "Entry", now: int) -> str:
    """An entry, and what has become of its version since: the version that its release is now, 0 where it is gone."""
    words: dict[str, Any] = {"gate": "refused"}
    what = words.get(entry.action, entry.action) if entry.valid else f"{entry.action} too late, moved nothing"
    versions = f"{entry.before or '-'} -> {entry.to}"
    since = "" if now == entry.to else f"  (now version {now})" if now else "  (the version is gone)"
    return f"{entry.sequence:>4}  {entry.when}  {what:<9} {versions:<10} {entry.who}: {entry.why}{since}"
