"""`nightjar inspect`: what data are, as far as they tell, and a config that reads them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from expectations.errors import UserError
from flows.cli.plain_text import echo

if TYPE_CHECKING:
    from models.evaluation.potential import Potential
    from tasks.sources.inspection import Inspection
    from tasks.sources.state import Scan


LONGEST_OF_PLAYS = 180
"""Days to train on, of a log of anything but ratings."""


@click.command()
@click.argument("path")
@click.option("--user", default="", metavar="COLUMN", help="Column of the user, where it is not found.")
@click.option("--item", default="", metavar="COLUMN", help="Column of the item.")
@click.option("--time", default="", metavar="COLUMN", help="Column of the time.")
@click.option("--rating", default="", metavar="COLUMN", help="Column of the rating.")
@click.option("--encoding", default="", help="Encoding of text files, such as latin-1.")
@click.option("--to", "target", type=click.Path(path_type=Path), help="Write the config to this file (.yaml).")
@click.option("--quick", is_flag=True, help="Look at names and first values only; the log is not parsed.")
def inspect(
    path: str, user: str, item: str, time: str, rating: str, encoding: str, target: Path | None, quick: bool
) -> None:
    """Look at the log at PATH: a file, a folder with its users and items beside it, a Delta or Iceberg table.

    Tells what it is taken for and why, what is missing and what stands in, what can be learnt from it, and the config
    for a night on it. The data stay as they are. What is read here is not read again by the night.
    """
    import yaml

    from flows.home import home_folder, prepare
    from tasks.sources.inspection import inspect as look

    if target and target.suffix not in (".yaml", ".yml"):
        raise UserError(f"--to {target}: must end in .yaml")
    if target and target.exists():
        raise UserError(f"--to {target}: is there already; choose another name, or remove it")
    if target and not target.absolute().parent.is_dir():
        raise UserError(f"--to {target}: there is no folder {target.absolute().parent}")
    given = {"user": user, "item": item, "time": time, "rating": rating}
    found = look(path, {kind: column for kind, column in given.items() if column}, encoding)
    for line in found.lines:
        echo(line)
    config: dict[str, Any] = {"source": found.source}
    warnings = list(found.warnings)
    if not quick:
        home = home_folder()
        prepare(home)
        config |= _looked_through(found, home, warnings)
    # What came after the first look is what a night would stop at.
    stops = len(warnings) > len(found.warnings)
    for warning in warnings:
        echo(f"warning: {warning}")
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    if target:
        head = "# Written by nightjar inspect; docs/configuration.md has every setting."
        target.write_text(f"{head}\n{text}", encoding="utf-8")
        echo(f"\nwrote {target}; {_next(f'nightjar run {target}', stops)}")
    else:
        echo(f"\n{text}")
        echo(f"--to FILE.yaml writes it; {_next('nightjar run FILE.yaml', stops)}")


def _next(command: str, stops: bool) -> str:
    return (
        f"the last warning above stops a night; when that is mended: {command}"
        if stops
        else f"a night on it: {command}"
    )


def _looked_through(found: "Inspection", home: Path, warnings: list[str]) -> dict[str, Any]:
    """Read the whole log as the night would, tell what it holds, and give the other sections of the config."""
    from models.evaluation.potential import Events, potential_of, sentences
    from tasks.sources.state import watches_until

    log = _scan(found.source, home, warnings)
    if log is None:
        return {}
    echo(
        f"\n{log.first_day} to {log.last_day}: {len(log.days):,} days, {sum(log.rows.values()):,} events of "
        f"{log.num_users:,} users and {log.num_items:,} items; the last whole day is {log.last_full_day}"
    )
    for note in (*_overlap(log), *log.notes):
        echo(f"note: {note}")
    for one in log.substitutes:
        echo(f"note: {one.sentence}")
    events = Events.of(watches_until(log, log.last_full_day))
    if not len(events.user):
        return {}
    if not events.positive.any():
        warnings.append("Nothing is a positive; look at source.positive_min_rating")
        return {}
    potential = potential_of(events, "rating" in found.source.get("columns", {}) or found.source["kind"] == "movielens")
    echo("")
    for sentence in sentences(potential):
        echo(sentence)
    return _settings(potential, warnings)


def _scan(source: dict[str, Any], home: Path, warnings: list[str]) -> "Scan | None":
    """The log as it is read; where rows stop the night, that is told and the rest looked at."""
    from datetime import UTC, datetime

    from flows.cli.terminal import Console
    from flows.config import check_config
    from tasks.sources.scan import scan

    today = datetime.now(UTC).date().isoformat()
    with Console(stderr=True).status("reading") as status:

        def tell(done: int, total: int, what: str) -> None:
            status.update(f"reading: {what}")

        for loose in ({}, {"strict": False}):
            try:
                return scan(check_config({"source": source | loose}, "inspect").source, home, today, tell)
            except UserError as error:
                if str(error) not in warnings:
                    warnings.append(str(error))
    return None


def _overlap(log: "Scan") -> list[str]:
    from tasks.sources.ids import NEVER

    told = []
    for kind in ("user", "item"):
        ids = log.ids(kind)
        listed, logged = ids.listed_row >= 0, ids.first_time < NEVER
        if listed.any():
            told.append(
                f"{int((listed & logged).sum()):,} of the {int(logged.sum()):,} {kind}s of the log are listed, and "
                f"{int((listed & ~logged).sum()):,} listed ones are not in the log."
            )
    return told


def _settings(found: "Potential", warnings: list[str]) -> dict[str, Any]:
    """Windows, judged days and sources for the kind of log."""
    train = found.num_days - found.judge_days
    if train < 2:
        warnings.append("A night needs three days: one to be judged on, one for the ranker, one before it")
        return {}
    # What was watched half a year ago tells little of tomorrow, and a year of plays takes long.
    is_cut = found.kind != "ratings" and train > LONGEST_OF_PLAYS
    train = LONGEST_OF_PLAYS if is_cut else train
    rank = max(1, min(7 if found.judge_days < 7 else found.judge_days, train // 3))
    window: dict[str, Any] = {"train_days": train if is_cut else "all", "judge_days": found.judge_days}
    window["rank_days"] = rank
    settings: dict[str, Any] = {"window": window, "towers": {"validation_days": max(1, min(rank, 10, train // 4))}}
    sources: dict[str, Any] = {}
    if found.kind == "sessions":
        # Nobody comes back, so that nobody has factors of their own.
        sources["als"] = {"num_candidates": 0}
    pipeline: dict[str, Any] = {"sources": sources} if sources else {}
    if found.kind == "baskets" or found.again > 0.5:
        pipeline["filters"] = {"seen": False}
    return settings | ({"pipeline": pipeline} if pipeline else {})
