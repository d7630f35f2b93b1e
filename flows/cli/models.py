"""`nightjar models`: what can be trained, and its settings."""

import difflib

import click

from expectations.errors import UserError


@click.command()
@click.argument("name", required=False)
def models(name: str | None) -> None:
    """List the models that learn from interactions alone, or tell the settings of the one called NAME.

    In a night a model proposes candidates as the source told beside it (pipeline.sources.SOURCE.num_candidates), by
    lists, neighbours, vectors and the like. `python -m benchmarks.quality` measures any of them on public data.
    """
    if name is None:
        _list()
    else:
        _tell(name)


def _list() -> None:
    from rich.table import Table

    from flows.cli.terminal import Console
    from models.catalogue import MODELS

    table = Table(box=None, header_style="bold")
    for head in ("model", "source", "by"):
        table.add_column(head, no_wrap=True)
    table.add_column("what it is")
    for model in MODELS.values():
        source = (model.source_name or model.name) if model.source else ""
        table.add_row(model.name, source, model.source or "", model.summary)
    Console().print(table)


def _tell(name: str) -> None:
    from rich.table import Table

    from flows.cli.terminal import Console, styled
    from flows.reference import entries
    from models.catalogue import MODELS

    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, 1)
        hint = f", did you mean {near[0]}?" if near else ""
        raise UserError(f"no model {name!r}{hint}; there are: {', '.join(MODELS)}")
    model, console = MODELS[name], Console()
    console.print(styled("[bold]{}[/]  {}", model.name, model.summary))
    if model.rates_with is not None:
        needed = ", ".join(f"{name}: {value}" for name, value in model.rates_with.items())
        console.print(f"predicts ratings{needed and ', with ' + needed}", highlight=False)
    console.print(f"settings, section `{model.section}` of a config:")
    table = Table("key", "default", "allowed", "meaning", box=None, header_style="bold")
    for row in entries(model.settings):
        table.add_row(*(cell.replace("`", "") for cell in row))
    console.print(table)
    if model.trials:
        console.print("a protocol also tries on its validation part:")
        for changes in model.trials:
            console.print("  " + ", ".join(f"{key}: {value}" for key, value in changes.items()), highlight=False)
