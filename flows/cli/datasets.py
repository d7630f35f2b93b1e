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
def export(dataset: str, date: str | None, lake: str, key: str, target: Path) -> None:
    """Write a DATASET to a CSV (lists as JSON) or Parquet file; the file appears whole or not at all."""
    import pyarrow.csv
    import pyarrow.parquet

    if target.suffix not in (".csv", ".parquet"):
        raise UserError(f"--to {target}: must end in .csv or .parquet")
    if not target.parent.is_dir():
        raise UserError(f"--to {target}: no such folder {target.parent}")
    _, artifact = _open(dataset, date, lake, key)
    if not artifact.files:
        raise UserError(f"{dataset} is a folder of files, not a table: copy {artifact.path}")
    table = artifact.table()
    with replacing(target) as aside:
        if target.suffix == ".csv":
            pyarrow.csv.write_csv(_flat(table), aside)
        else:
            pyarrow.parquet.write_table(table, aside)
    echo(f"{table.num_rows:,} rows of {dataset} {artifact.date} in {target}")


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
