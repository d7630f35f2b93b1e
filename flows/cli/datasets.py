"""`nightjar show` and `nightjar export`: look into the lake."""

from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from expectations.errors import UserError
from expectations.files import replacing
from flows.cli.plain_text import echo

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@click.command()
@click.argument("dataset")
@click.option("--date", help="Logical day. Default: the newest.")
@click.option("--lake", default="", help="Lake URL. Default: the home's.")
@click.option(
    "--key", default="", help="Key of the artifact, or how it begins. Default: what the last run in that lake made."
)
@click.option("--rows", default=5, show_default=True, type=click.IntRange(0, 1000), help="Rows to show.")
def show(dataset: str, date: str | None, lake: str, key: str, rows: int) -> None:
    """Show a DATASET: schema, row count, a few rows, lineage up to the raw inputs, audit result."""
    from rich.table import Table
    from rich.text import Text
    from rich.tree import Tree

    from expectations.datasets import DATASETS
    from flows.cli.terminal import Console, styled

    opened, artifact = _open(dataset, date, lake, key)
    manifest, declared = artifact.manifest, DATASETS[artifact.dataset]
    console = Console()
    rows_told = f"{manifest['rows']:,} rows"
    console.print(styled("[bold]{}[/] {}  {}  {}", artifact.dataset, artifact.date, rows_told, declared.meaning))
    console.print(styled("[dim]{}[/]", artifact.path))
    console.print(f"content {manifest['content_digest'][:16]}  key {artifact.key}")
    if declared.is_table:
        schema = Table("column", "type", "unit", "meaning", box=None, header_style="bold")
        for column in declared.columns:
            name = Text(column.name, style="bold" if column.name in declared.key else "")
            schema.add_row(name, str(column.type), column.unit, column.meaning)
        console.print(schema)
        if rows:
            console.print(_rows(artifact, rows))
    else:
        for name, entry in manifest["files"].items():
            console.print(f"  {entry['bytes']:>12,} bytes  {name}")
    tree = Tree(f"lineage of {artifact.dataset} {artifact.date}")
    _lineage(opened, artifact, tree, set())
    console.print(tree)
    console.print(_audit_line(manifest["audit"]))


def _rows(artifact: Any, rows: int) -> Any:
    from rich.table import Table

    head = artifact.table().slice(0, rows)
    table = Table(*head.column_names, box=None, header_style="bold")
    for row in head.to_pylist():
        table.add_row(*(_short(v) for v in row.values()))
    return table


def _short(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _lineage(lake: Any, artifact: Any, tree: Any, seen: set[str]) -> None:
    """Inputs of an artifact, of those, and so on; days of one dataset as one line, a repeated branch once."""
    from tasks.engine.lake import Ref

    read = [(name, Ref.of(folder)) for name, folders in artifact.manifest["inputs"].items() for folder in folders]
    for (name, dataset), some in _by(read, lambda one: (one[0], one[1].dataset)).items():
        of_dates = _by([ref for _, ref in some], lambda ref: ref.date)
        # One a date are the days of a dataset; several of one date are of several sources, each with its own lineage.
        runs = [[refs[0] for refs in of_dates.values()]] if len(of_dates) == len(some) else [[ref] for _, ref in some]
        for refs in runs:
            first, last = refs[0], refs[-1]
            days = first.date if len(refs) == 1 else f"{first.date} .. {last.date}, {len(refs)} days"
            again = first.folder in seen
            branch = tree.add(f"{name}: {dataset} {days}" + (" (above)" if again else ""))
            seen.add(first.folder)
            found = None if again else lake.find(first)
            if found:
                _lineage(lake, found, branch, seen)
    if not any(artifact.manifest["inputs"].values()):
        from flows.cli.terminal import styled

        tree.add(styled("[dim]made by {} from its settings[/]", artifact.manifest["stage"]))


def _by(values: Iterable[V], kind: Callable[[V], K]) -> dict[K, list[V]]:
    """Values by their kind, in the order in which they come."""
    found: dict[K, list[V]] = {}
    for value in values:
        found.setdefault(kind(value), []).append(value)
    return found


def _audit_line(audit: dict[str, Any]) -> Any:
    from flows.cli.terminal import styled

    if not audit:
        return "audit: none (files are checked by their own stage)"
    state = "[green]passed[/]" if audit.get("passed") else "[red]failed[/]"
    why = f", released because: {audit['released_because']}" if "released_because" in audit else ""
    counts = ", ".join(f"{k} {v}" for k, v in audit.items() if isinstance(v, int) and k != "passed")
    return styled(f"audit: {state}{{}}  {{}}", why, counts)


@click.command()
@click.argument("dataset")
@click.option("--date", help="Logical day. Default: the newest.")
@click.option("--lake", default="", help="Lake URL. Default: the home's.")
@click.option(
    "--key", default="", help="Key of the artifact, or how it begins. Default: what the last run in that lake made."
)
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="FILE.csv or FILE.parquet")
@click.option(
    "--dense-ids", is_flag=True, help="Columns as they are stored: ids of users and items numbered by the lake."
)
def export(dataset: str, date: str | None, lake: str, key: str, target: Path, dense_ids: bool) -> None:
    """Write a DATASET to a CSV (lists as JSON) or Parquet file; the file appears whole or not at all.

    Users and items have the ids of your own systems, in columns whose names begin with external_.
    """
    import pyarrow.csv
    import pyarrow.parquet

    if target.suffix not in (".csv", ".parquet"):
        raise UserError(f"--to {target}: must end in .csv or .parquet")
    if not target.parent.is_dir():
        raise UserError(f"--to {target}: no such folder {target.parent}")
    opened, artifact = _open(dataset, date, lake, key)
    if not artifact.files:
        raise UserError(f"{dataset} is a folder of files, not a table: copy {artifact.path}")
    table = artifact.table() if dense_ids else _with_outside_ids(artifact, opened)
    with replacing(target) as aside:
        if target.suffix == ".csv":
            pyarrow.csv.write_csv(_flat(table), aside)
        else:
            pyarrow.parquet.write_table(table, aside)
    echo(f"{table.num_rows:,} rows of {dataset} {artifact.date} in {target}")


def _with_outside_ids(artifact: Any, lake: Any) -> Any:
    """Its rows with outside ids instead of dense ones.

    Raises:
        UserError: nobody knows any more whose numbers they are.
    """
    from expectations.outside_ids import OutsideIds, kind_of

    table = artifact.table()
    if not any(map(kind_of, table.column_names)):
        return table
    known = _id_map(artifact.ref, lake)
    if not known:
        raise UserError(
            f"the id_map that belongs to {artifact.path} is not in the lake {lake.url}; "
            "export it with --dense-ids, or run its night again"
        )
    return OutsideIds(known.table()).instead(table)


def _id_map(ref: Any, lake: Any) -> Any:
    """The newest `id_map` of a run that has an artifact, or else of what it was made from; None where there is none."""
    from flows.home import home_folder
    from flows.night.records import all_runs
    from tasks.engine.lake import Ref

    home = home_folder()
    runs = [run.refs for run in reversed(all_runs(home)) if run.lake_in(home) == lake.url]
    beside = next((refs["id_map"] for refs in runs if "id_map" in refs and ref.folder in refs.get(ref.dataset, ())), [])
    maps = [lake.find(Ref.of(folder)) for folder in sorted(beside, reverse=True)] or _made_from(ref, "id_map", lake)
    return next((found for found in maps if found), None)


def _made_from(ref: Any, dataset: str, lake: Any) -> list[Any]:
    """Artifacts of a dataset that an artifact was made from, directly or not, the newest first."""
    from tasks.engine.lake import Ref

    seen, wanted = set(), [ref.folder]
    while wanted:
        manifest = lake.manifest(Ref.of(folder := wanted.pop()))
        seen.add(folder)
        read = [other for folders in (manifest or {}).get("inputs", {}).values() for other in folders]
        wanted += [other for other in read if other not in seen]
    refs = [made for folder in seen if (made := Ref.of(folder)).dataset == dataset]
    return [lake.find(made) for made in sorted(refs, key=lambda made: made.date, reverse=True)]


def _flat(table: Any) -> Any:
    """Lists as JSON text: CSV has no lists."""
    import json

    import pyarrow as pa

    for number, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            texts = [None if v is None else json.dumps(v) for v in table[field.name].to_pylist()]
            table = table.set_column(number, field.name, pa.array(texts, pa.string()))
    return table


def _open(dataset: str, date: str | None, lake_url: str, key: str) -> tuple[Any, Any]:
    """The lake, and the artifact of the dataset and date that the last run made, or else the newest; of those whose key
    begins so."""
    import difflib

    from expectations.datasets import DATASETS
    from flows.cli.options import parse_date
    from flows.home import home_folder
    from flows.night.lakes import named_lake, open_lake
    from flows.night.records import all_runs
    from tasks.engine.lake import Ref

    if dataset not in DATASETS:
        near = difflib.get_close_matches(dataset, DATASETS, 1)
        raise UserError(
            f"no dataset {dataset!r}"
            + (f", did you mean {near[0]}?" if near else "")
            + f"; there are: {', '.join(DATASETS)}"
        )
    parse_date(date)
    home = home_folder()
    lake = open_lake(home, named_lake(home, lake_url))
    runs = [] if key else [run for run in reversed(all_runs(home)) if run.lake_in(home) == lake.url]
    used = [Ref.of(folder) for run in runs for folder in run.refs.get(dataset, [])]
    every = [r for r in lake.refs(dataset, date) if r.key.startswith(key)]
    wanted = [r for r in used if date in (None, r.date)] or sorted(every, reverse=True)[:1]
    if date is None:
        wanted.sort(key=lambda r: r.date, reverse=True)
    for ref in wanted:
        found = lake.find(ref)
        if found:
            return lake, found
    there = lake.dates(dataset)
    raise UserError(
        f"{dataset}{f' of {date}' if date else ''}{f' with key {key}' if key else ''} is not in the lake {lake.url}; "
        + (f"dates there: {there[0]} .. {there[-1]}" if there else "run a night first")
    )
