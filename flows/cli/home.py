"""`nightjar home`: the folder, and the lake and registry that commands work on when they are given no other."""

import json

import click

from flows.cli.plain_text import echo


@click.command()
@click.option("--lake", help="The lake of this home from now on; an empty text for its own folder.")
@click.option("--registry", help="The registry of this home from now on; an empty text for its own.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def home(lake: str | None, registry: str | None, as_json: bool) -> None:
    """Show the home: its folder and id, its lake, its registry. With options, choose others.

    What a command is given with --lake or --registry counts for that command alone. A config's `resources.registry` and
    NIGHTJAR_REGISTRY in the environment, go before the home's.
    """
    from expectations.passwords import redacted
    from flows.home import home_folder, prepare
    from flows.registry import answer_soon
    from tasks.engine.lake import Lake
    from tasks.machine.home import change, facts_of, from_here, lake_of, registry_of
    from tasks.registry.registry import Registry

    place = home_folder()
    prepare(place)
    answer_soon()
    if lake:
        _ = Lake(from_here(lake), place / "scratch" / "lake").root  # refuses what is none
    if registry:
        Registry(place, from_here(registry)).check()
    if not (lake is None and registry is None):
        change(place, **{n: v and from_here(v) for n, v in {"lake": lake, "registry": registry}.items()})
    facts = facts_of(place)
    assert facts
    used = Registry(place).uri
    told = {"home": str(place), "id": facts.id, "lake": redacted(lake_of(place)), "registry": redacted(used)}
    if facts.registry and used != registry_of(place):
        before = "NIGHTJAR_REGISTRY, or the service's own registry, goes before"
        echo(f"note: {before} {redacted(facts.registry)}", err=True)
    if as_json:
        return echo(json.dumps(told, indent=2))
    for name, value in told.items():
        echo(f"{name:<9} {value}")
    return None
