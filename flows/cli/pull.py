"""`nightjar pull`, `recommend`, `similar`: a release taken out of the registry, and what it answers."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from expectations.errors import UserError
from flows.cli.plain_text import echo
from models.runtime.files import EVERY, patterns_by_part

if TYPE_CHECKING:
    import pyarrow as pa


PARTS = tuple(part for part in patterns_by_part() if part != EVERY)
REFERENCE = "a number, @alias or :YYYY-MM-DD"
REGISTRY = click.option("--registry", "url", default="", help="Registry URL. Default: the home's.")
RELEASE = click.option("--release", "reference", default="@champion", show_default=True,
                       help=f"{REFERENCE.capitalize()}, or a folder that was pulled.")  # fmt: skip
TRUST = click.option("--trust", is_flag=True, help="Take it, and run its code, although nobody vouches for it.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.command()
@click.argument("reference", default="@champion", metavar="[NAME][@alias|/version|:date]")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="Folder that will hold it.")
@click.option("--part", "parts", multiple=True, default=("all",), type=click.Choice(PARTS), help="May be repeated.")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="FILE|TEXT",
    help="Public key that must have signed it; may be repeated. Default: those of `nightjar key pin`.",
)
@TRUST
@AS_JSON
@REGISTRY
def pull(
    reference: str, target: Path, parts: tuple[str, ...], keys: tuple[str, ...], trust: bool, as_json: bool, url: str
) -> None:
    """Pull a release into a folder: by default the champion, whole.

    Every file is checked, a query is tried, then the folder is swapped in at once. A pull that was interrupted goes on
    where it stopped; one of the version that is there already moves nothing.

    An MLflow server's user and password are read from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, S3's
    address and keys from MLFLOW_S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    """
    from dataclasses import asdict

    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from flows.cli.terminal import Console
    from flows.registry import find_release, open_registry
    from tasks.registry.signing import Keys, public_key
    from tasks.releases.pulling import pull as fetch

    registry = open_registry(url)
    version = registry.find(reference) if trust else find_release(registry, reference)
    asked = [public_key(key) for key in keys] or Keys(registry.home).pinned()
    named = f"{version.name} ({', '.join([*version.aliases, version.day or 'of no day'])})"
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    console.print(f"pulling {named}", highlight=False)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("fetching", total=None)

        def show(completed: int, total: int) -> None:
            progress.update(task, completed=completed, total=total)

        done = fetch(registry, version, target, parts, show, keys=asked, trust=trust)
    if as_json:
        return echo(json.dumps({**asdict(done), "target": str(target.absolute())}, indent=2, default=str))
    moved = f"{done.fetched / 1e6:,.1f} MB fetched" if done.fetched else "nothing to fetch"
    checked = "nobody vouches for it: --trust" if trust else "every hash checked" + ", signed" * bool(asked)
    tried = ", smoke query answered" if "all" in done.parts and done.fetched else ""
    echo(
        f"{target} holds {named}: {', '.join(done.parts)}; {done.num_files} files, {done.total / 1e6:,.1f} MB, {moved}"
        f", {checked}{tried}"
    )
    return None


@click.command()
@click.option("--user", help="Outside id of a user; somebody unknown gets what a new user gets.")
@click.option("--history", help="Outside ids of items, oldest first, with commas between them.")
@click.option("-k", "k", default=20, show_default=True, type=click.IntRange(1, 1000), help="Length of the list.")
@RELEASE
@TRUST
@AS_JSON
@REGISTRY
def recommend(
    user: str | None, history: str | None, k: int, reference: str, trust: bool, as_json: bool, url: str
) -> None:
    """Recommend items to a user, or to somebody with a history, and say why each."""
    if (user is None) == (history is None):
        raise UserError("give --user ID or --history ITEM,ITEM,...")
    bundle, name = _open(reference, url, trust)
    note = ""
    if user is not None and user in _known(bundle, "user"):
        result = bundle.recommend(bundle.ids("user", [user]).tolist(), k=k, trace=True)
    else:
        items = [i.strip() for i in (history or "").split(",") if i.strip()]
        result = bundle.recommend_for_history(_ids(bundle, items), k=k, trace=True)
        note = f"user {user} is not known to this release: the list of somebody new" if user is not None else ""
    rows = _named(bundle, result.table)
    facts = {
        "release": name,
        "filters": list(result.removals),
        "removed": result.removals,
        "note": note,
        "items": rows,
    }
    if as_json:
        return echo(json.dumps(facts, indent=2, default=str))
    if note:
        echo(f"note: {note}")
    found_by = [c for c in result.table.column_names if c.startswith("rank_in_")]
    _table(
        f"{name}: {len(rows)} items",
        ("rank", "item", "title", "score", "source", "found by (place)", "why"),
        [
            (r["rank"], r["item"], r["title"], f"{r['score']:.4f}", r["source"],
             ", ".join(f"{c.removeprefix('rank_in_')} {r[c]}" for c in found_by if r[c]), r["reason"])
            for r in rows
        ],
    )  # fmt: skip
    passed = ", ".join(f"{name} ({number} candidates removed)" for name, number in result.removals.items())
    echo(f"every item passed the filters {passed}" if passed else "no filter is on")
    return None


@click.command()
@click.argument("item")
@click.option("-k", "k", default=10, show_default=True, type=click.IntRange(1, 1000), help="Length of the list.")
@RELEASE
@TRUST
@AS_JSON
@REGISTRY
def similar(item: str, k: int, reference: str, trust: bool, as_json: bool, url: str) -> None:
    """Show the items nearest to ITEM (its outside id) by their vectors."""
    bundle, name = _open(reference, url, trust)
    (dense,) = _ids(bundle, [item])
    rows = _named(bundle, bundle.similar(dense, k))
    if as_json:
        return echo(json.dumps({"release": name, "items": rows}, indent=2, default=str))
    title = bundle.titles[dense].as_py()
    lines = [(n, r["item"], r["title"], f"{r['score']:.4f}") for n, r in enumerate(rows, 1)]
    _table(f"{name}: nearest to {item} {title or ''}", ("", "item", "title", "cosine"), lines)
    return None


def _open(reference: str, url: str, trust: bool) -> tuple[Any, str]:
    """A bundle by reference or folder, and what to call it."""
    from flows.registry import find_release, open_registry, open_release
    from models.serving.bundle_runtime import open_bundle

    if Path(reference).is_dir():
        _check_folder(Path(reference), trust)
        return open_bundle(Path(reference), verify=trust), reference
    registry = open_registry(url)
    version = registry.find(reference) if trust else find_release(registry, reference)
    return open_release(registry, version, trust), version.name


def _check_folder(folder: Path, trust: bool) -> None:
    """See that a folder has a whole release, and that it is what a pull has put there."""
    from flows.home import home_folder
    from tasks.registry.signing import Keys
    from tasks.releases.trust import RECORD, check_folder, held

    if not (folder / "manifest.json").is_file():
        raise UserError(f"{folder}/manifest.json: missing; nightjar pull --to {folder} puts a release there")
    record = held(folder) if (folder / RECORD).is_file() else {}
    parts = record.get("parts", ["all"])
    if "all" not in parts:
        raise UserError(f"{folder} holds only {', '.join(parts)}; pull the rest: nightjar pull --to {folder}")
    if not trust:
        check_folder(folder, record, Keys(home_folder()).pinned())


def _known(bundle: Any, kind: str) -> set[str]:
    """Outside ids; those of the log whom the release knows no more are left out."""
    known = set((bundle.user_ids if kind == "user" else bundle.item_ids).tolist())
    rows = zip(*(bundle.id_map[name].to_pylist() for name in ("kind", "id", "external_id")), strict=True)
    return {name for k, i, name in rows if k == kind and i in known}


def _ids(bundle: Any, items: list[str]) -> list[int]:
    unknown = set(items) - _known(bundle, "item")
    if unknown:
        raise UserError(f"item {min(unknown)!r} is not in this release; `nightjar show id_map` lists some")
    return [int(i) for i in bundle.ids("item", items)] if items else []


def _named(bundle: Any, table: "pa.Table") -> list[dict[str, Any]]:
    """Rows with outside ids and titles of their items."""
    ids = bundle.id_map.to_pydict()
    names = {
        i: name for kind, name, i in zip(ids["kind"], ids["external_id"], ids["id"], strict=True) if kind == "item"
    }
    titles = bundle.titles
    return [
        {"item": names[row["item_id"]], **row, "title": titles[row["item_id"]].as_py()} for row in table.to_pylist()
    ]


def _table(title: str, names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    from rich.table import Table

    from flows.cli.terminal import Console

    table = Table(*names, box=None, header_style="bold")
    for row in rows:
        table.add_row(*("" if v is None else str(v) for v in row))
    echo(title)
    Console().print(table, highlight=False)
