"""Looks through a source once: which days it has, a digest of each, every id; and keeps it parsed in scratch.

    <home>/scratch/sources/<source>/parts/<file version>/run-00000.npy ...   one log file, parsed
    <home>/scratch/sources/<source>/states/<state>/scan.json ...             the source as it stood at a scan

A file is recognised by its path, size and time of change, so one that did not change is not read again, unless the
code that parses files of its format did; whether a *day* changed is told by the digest of its content. Scratch may be
deleted at any time and is made again.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from expectations.errors import Failure, UserError
from expectations.files import place
from expectations.progress import OnProgress
from expectations.records import read_record
from tasks.engine.code_digest import Reached, edited_since, joined, reached
from tasks.machine.scratch import aside, sweep
from tasks.sources.config import SourceConfig
from tasks.sources.discovery import Source, find_source
from tasks.sources.parts import Reading, parse
from tasks.sources.reading import DataFile
from tasks.sources.refusals import Refusals, num_rows, sentences
from tasks.sources.state import STATE, LogReader, Scan, load_scan, save_state
from tasks.sources.survey import Survey, give_ids, open_log, positive_bars, refuse_strange_ids


def scan(config: SourceConfig, home: Path, today: str, progress: OnProgress = lambda done, total, what: None) -> Scan:
    """Look through a source; what did not change since the last scan is not read again.

    Args:
        today: ISO date, UTC; events after it are refused, and it is never a full day.

    Raises:
        UserError: the source is missing, unreadable, empty, or has rows that cannot be used.
        Failure: a file changed while it was read.
    """
    source = find_source(config, home)
    scratch = home / "scratch" / "sources" / _digest(source.place, _content(config))[:16]
    reading = Reading(source.columns, config.time_format or config.time_unit, today)
    bars = positive_bars(config, reading)
    parts = _parts(source, reading, scratch / "parts", progress)
    _account(source, parts)
    beside = [*(_stamp(path) for path in source.beside), *source.members]
    code = _code("tasks.sources.scan:_survey", "tasks.sources.survey:open_log", *source.readers)
    lacking = [s.to_list() for s in source.substitutes]
    state = scratch / "states" / _digest(code.digests, _content(config), list(parts), beside, lacking)[:16]
    known = load_scan(state, today)
    if known is None:
        runs = _runs(config, source, parts)
        with aside(state.parent) as folder:
            log = open_log(scratch / "parts", runs, bars)
            _survey(config, source, log, _told(parts, reading), folder, progress)
            _refuse_edited(code)
            _keep(folder, state, STATE)
        known = load_scan(state, today)
        if known is None:
            raise Failure(f"{state / STATE} cannot be read again; delete {state}, which may be deleted at any time")
    sweep(scratch / "parts", parts)
    sweep(scratch / "states", {state.name})
    # Beside the state, which stays the same where another state of a table has the same rows.
    return replace(known, notes=(*source.notes, *known.notes))


def _survey(
    config: SourceConfig, source: Source, log: LogReader, told: list[str], folder: Path, progress: OnProgress
) -> None:
    """Look at every day, and write the state."""
    listed = {"user": source.users(), "item": source.items()}
    listings = {kind: one.table for kind, one in listed.items()}
    ids = {kind: give_ids(log, kind, listing) for kind, listing in listings.items()}
    survey = Survey(log, ids)
    survey.look(progress)
    survey.account()
    if config.strict:
        refuse_strange_ids(survey)
    facts = {
        **survey.facts(),
        "notes": [*told, *(note for one in listed.values() for note in one.notes), *survey.notes()],
        "substitutes": [s.to_list() for s in source.substitutes],
    }
    save_state(folder, facts, log, ids, listings)


def _content(config: SourceConfig) -> dict[str, Any]:
    """All that decides content: everything but where the source lies, and which state of it is read."""
    users = replace(config.users, path="", snapshot="")
    items = replace(config.items, path="", snapshot="")
    return asdict(replace(config, path="", url="", snapshot="", users=users, items=items))


def _digest(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def _stamp(path: Path) -> list[Any]:
    found = path.stat()
    return [str(path), found.st_size, found.st_mtime_ns]


@cache  # a log may have thousands of files
def _code(*functions: str) -> Reached:
    """All that some functions (`module:function`) reach."""
    places = (name.split(":") for name in functions)
    return joined(*(reached(module, function) for module, function in places))


def _refuse_edited(code: Reached) -> None:
    """What is kept in scratch is known by the code that made it.

    Raises:
        Failure: that was edited while it was at work.
    """
    if edited := edited_since(code):
        raise Failure(f"{', '.join(edited)} changed while the source was read; run again, and leave the checkout alone")


# --- files: parsed once --------------------------------------------------------------------------------------------


PART = "part.json"


@dataclass(frozen=True)
class Part:
    """A log file in scratch."""

    name: str
    num_runs: int
    num_rows: int
    num_records: int | None
    refusals: Refusals
    notes: tuple[str, ...]
    file: str
    time_form: str
    num_replayed: int


def _parts(source: Source, reading: Reading, folder: Path, progress: OnProgress) -> dict[str, Part]:
    """Bring every log file into scratch."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [file.path.stat().st_size for file in source.logs]
    parts = {}
    for number, file in enumerate(source.logs):
        done, total = sum(sizes[:number]), sum(sizes)

        def tell(rows: int, file: DataFile = file, done: int = done, total: int = total) -> None:
            progress(done, total, f"{file.name}: {rows:,} rows")

        part = _part(file, reading, folder, _part_name(file, reading), tell)
        parts[part.name] = part
    return parts


def _part_name(file: DataFile, reading: Reading) -> str:
    """Stands for the file as it is, and all that decides how it is understood."""
    member = file.member.identity if file.member else ""
    dialect = file.name, file.entry, asdict(file.text), file.partition, member
    return _digest(_parser(file).digests, asdict(reading.columns), reading.time_form, dialect, _stamp(file.path))[:16]


def _parser(file: DataFile) -> Reached:
    return _code("tasks.sources.parts:parse", file.format.read_at)


def _part(file: DataFile, reading: Reading, folder: Path, name: str, progress: Callable[[int], None]) -> Part:
    # What is in the future today is not tomorrow: a file with such rows is parsed again on another day.
    dated = f"{name}-{reading.today}"
    for known in (name, dated):
        if part := _load_part(folder / known):
            return part
    before = _stamp(file.path)
    with aside(folder) as parsing:
        parsed = parse(file, reading, parsing, progress)
        if _stamp(file.path) != before:
            raise Failure(f"{file.path} changed while it was read; run again when it is complete")
        _refuse_edited(_parser(file))
        facts = {
            "num_runs": parsed.num_runs,
            "num_rows": parsed.num_rows,
            "num_records": parsed.num_records,
            "refusals": parsed.refusals.to_list(),
            "notes": parsed.notes,
            "file": file.name,
            "time_form": parsed.time_form,
            "num_replayed": parsed.num_replayed,
        }
        (parsing / PART).write_text(json.dumps(facts))
        target = folder / (dated if parsed.num_future else name)
        _keep(parsing, target, PART)
    return _made(target.name, facts)


def _made(name: str, facts: Any) -> Part:
    return Part(
        name,
        num_runs=int(facts["num_runs"]),
        num_rows=int(facts["num_rows"]),
        num_records=facts["num_records"],
        refusals=Refusals.from_list(facts["refusals"]),
        notes=tuple(facts["notes"]),
        file=facts["file"],
        time_form=facts["time_form"],
        num_replayed=int(facts["num_replayed"]),
    )


def _load_part(folder: Path) -> Part | None:
    def make(facts: Any) -> Part:
        return _made(folder.name, facts)

    return read_record(folder / PART, make, "the log file is parsed again")


def _keep(folder: Path, target: Path, mark: str) -> None:
    """Put a finished folder in its place, also where one stands whose record was damaged and is set aside."""
    if target.exists() and not (target / mark).exists():
        shutil.rmtree(target, ignore_errors=True)
    place(folder, target, mark)


def _account(source: Source, parts: Mapping[str, Part]) -> None:
    """Rows that are used and rows that are left out are all that a file has.

    Raises:
        Failure: they are not.
    """
    for file, part in zip(source.logs, parts.values(), strict=True):
        if part.num_records not in (None, part.num_rows + part.refusals.num_rows):
            raise Failure(
                f"{file.where}: {part.num_rows:,} rows are used and {part.refusals.num_rows:,} left out, but there are "
                f"{part.num_records:,} in the file; delete {part.name} below scratch and run again"
            )


def _told(parts: Mapping[str, Part], reading: Reading) -> list[str]:
    """What people should know of how the files were read, one sentence for all that are alike."""
    alike: dict[str, list[str]] = {}
    for part in parts.values():
        for note in part.notes:
            alike.setdefault(note, []).append(part.file)
    told = [
        f"{names[0] if len(names) == 1 else f'{len(names)} files such as {names[0]}'}: {note}."
        for note, names in alike.items()
    ]
    told += [f"Left out: {sentence}." for part in parts.values() for sentence in sentences(part.refusals)]
    first = {part.time_form: part.file for part in reversed(list(parts.values())) if part.time_form != "auto"}
    if len(first) > 1:
        each = ", ".join(f"{form} (such as {name})" for form, name in sorted(first.items()))
        told.append(f"Times are of different forms, in each file of its own: {each}.")
    elif any("%" in form for form in first) and reading.time_form == "auto":
        told.append(f"Times are read as {next(iter(first))}; source.time_format says otherwise.")
    if replayed := sum(part.num_replayed for part in parts.values()):
        told.append(f"{replayed:,} completions are above 1, as of what is replayed: they count as 1.")
    return told


def _runs(config: SourceConfig, source: Source, parts: Mapping[str, Part]) -> list[tuple[str, int]]:
    """Part and number of every run, if the source can be used."""
    refused = [s for part in parts.values() for s in sentences(part.refusals)]
    if config.strict and refused:
        shown = "\n".join(f"  {s}" for s in refused[:10])
        more = f"\n  and {len(refused) - 10} more of the kind" if len(refused) > 10 else ""
        total = sum(part.refusals.num_rows for part in parts.values())
        raise UserError(
            f"{config.setting}: {num_rows(total)} of {source.place} cannot be used:\n{shown}{more}\n"
            "Correct them, or set source.strict=false to leave such rows out and count them."
        )
    runs = [(name, number) for name, part in parts.items() for number in range(part.num_runs)]
    if not runs:
        raise UserError(f"{config.setting}: {source.place} has no usable event; give a log with at least one")
    return runs
