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
from collections.abc import Callable, Set
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from expectations.errors import Failure, UserError
from expectations.files import place
from expectations.progress import OnProgress
from expectations.records import read_record
from expectations.substitutes import Substitute
from tasks.engine.code_digest import Reached, edited_since, joined, reached
from tasks.machine.scratch import aside, sweep
from tasks.sources.actions import ActionsReading
from tasks.sources.config import SourceConfig
from tasks.sources.discovery import Source, find_source
from tasks.sources.impressions import CLICKS, ShownReading
from tasks.sources.other_logs import KINDS, LogBeside
from tasks.sources.parsed_files import PlaysReading, Reading, parse
from tasks.sources.reading import DataFile
from tasks.sources.refusals import Refusals, num_rows, sentences
from tasks.sources.searches import SearchesReading
from tasks.sources.state import STATE, LogReader, Scan, load_scan, save_state
from tasks.sources.survey import Survey, give_ids, open_log, positive_bars, refuse_strange_ids
from tasks.sources.tables import BESIDE


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
    plays = PlaysReading(config.time_form(), today, source.columns)
    bars = positive_bars(config, plays)
    logs = _logs(config, source, plays)
    for log in logs.values():
        log.parts = _parts(log, scratch / "parts", progress)
        _account(log)
    parts = [name for log in logs.values() for name in log.parts]
    beside = [*(_stamp(path) for path in source.beside), *source.members]
    code = _code("tasks.sources.scan:_survey", "tasks.sources.survey:open_log", *source.readers)
    lacking = [s.to_list() for s in source.substitutes]
    state = scratch / "states" / _digest(code.digests, _content(config), parts, beside, lacking)[:16]
    known = load_scan(state, today)
    if known is None:
        runs = {name: of for name, log in logs.items() if (of := _runs(log, config.strict))}
        clicks = [(f"{part}/{CLICKS}", number) for part, number in runs.get("impressions", ())]
        told = [note for log in logs.values() for note in _told(log)]
        told += [f"{_nothing_in(log)}: it counts as absent." for name, log in logs.items() if name not in runs]
        with aside(state.parent) as folder:
            reader = open_log(scratch / "parts", runs.pop("watches", clicks), bars)
            others = {name: LogBeside(name, open_log(scratch / "parts", its, {})) for name, its in runs.items()}
            _survey(config, _without(source, logs.keys() - runs.keys()), reader, others, told, folder, progress)
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
    config: SourceConfig,
    source: Source,
    log: LogReader,
    others: dict[str, LogBeside],
    told: list[str],
    folder: Path,
    progress: OnProgress,
) -> None:
    """Look at every day, and write the state."""
    if not len(log.slices):
        raise UserError(f"{config.setting}: nothing in {source.place} was clicked, so there is no play to learn from")
    listed = {"user": source.users(), "item": source.items()}
    listings = {kind: one.table for kind, one in listed.items()}
    ids = {kind: give_ids(log, kind, listing, others) for kind, listing in listings.items()}
    for one in others.values():
        one.number_texts()
    survey = Survey(log, ids, others)
    survey.look(progress)
    survey.account()
    if config.strict:
        refuse_strange_ids(survey, config.columns_setting)
    facts = {
        **survey.facts(),
        "notes": [*told, *(note for one in listed.values() for note in one.notes), *survey.notes()],
        "substitutes": [s.to_list() for s in source.substitutes],
        "beside": {name: one.save(folder) for name, one in others.items()},
    }
    save_state(folder, facts, log, ids, listings)


def _content(config: SourceConfig) -> dict[str, Any]:
    """All that decides content: everything but where the source lies, and which state of it is read."""
    content = asdict(config)
    for of in (content, *(content[section] for section in BESIDE)):
        of |= dict.fromkeys(("path", "url", "snapshot"))
    return {**content, "clicks_are_plays": config.clicks_are_plays}


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


@dataclass
class _Log:
    """A log of a source, that of the plays or one beside it.

    Attributes:
        setting: that names it, for messages.
        row: what a row of it is called.
        is_plays: whether the plays come from it, so that a source without it is none.
        parts: its files in scratch, in their order.
    """

    setting: str
    row: str
    place: str
    files: tuple[DataFile, ...]
    reading: Reading
    is_plays: bool
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def section(self) -> str:
        """Of the settings that say how it is written."""
        return "source" if isinstance(self.reading, PlaysReading) else self.setting


def _logs(config: SourceConfig, source: Source, plays: PlaysReading) -> dict[str, _Log]:
    """All logs of a source by dataset; without the plays where clicks stand for them."""
    today, shown, actions, searches = plays.today, config.impressions, config.actions, config.searches
    readings: dict[str, Reading] = {
        "impressions": ShownReading(config.time_form(shown), today, shown, config.clicks_are_plays),
        "actions": ActionsReading(config.time_form(actions), today, actions),
        "searches": SearchesReading(config.time_form(searches), today, searches),
    }
    logs = {}
    if not config.clicks_are_plays:
        logs["watches"] = _Log(config.setting, "event", source.place, source.logs, plays, is_plays=True)
    for name, files in source.logs_beside.items():
        place = files[0].path if len(files) == 1 else files[0].path.parent
        is_plays = config.clicks_are_plays and name == "impressions"
        logs[name] = _Log(f"source.{name}", KINDS[name].word, str(place), files, readings[name], is_plays)
    return logs


def _without(source: Source, absent: Set[str]) -> Source:
    """A source without some of the logs beside its plays."""
    if "impressions" not in absent:
        return source
    others = [s for s in source.substitutes if s.name != "no_propensities"]
    return replace(source, substitutes=(Substitute("no_impressions"), *others))


def _parts(log: _Log, folder: Path, progress: OnProgress) -> dict[str, Part]:
    """Bring every file of a log into scratch."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [file.path.stat().st_size for file in log.files]
    parts = {}
    for number, file in enumerate(log.files):
        done, total = sum(sizes[:number]), sum(sizes)

        def tell(rows: int, file: DataFile = file, done: int = done, total: int = total) -> None:
            progress(done, total, f"{file.name}: {rows:,} rows")

        part = _part(file, log.reading, folder, _part_name(file, log.reading), tell)
        parts[part.name] = part
    return parts


def _part_name(file: DataFile, reading: Reading) -> str:
    """Stands for the file as it is, and all that decides how it is understood."""
    member = file.member.identity if file.member else ""
    dialect = file.name, file.entry, asdict(file.text), file.partition, member
    return _digest(_parser(file, reading).digests, reading.identity, dialect, _stamp(file.path))[:16]


def _parser(file: DataFile, reading: Reading) -> Reached:
    return _code("tasks.sources.parsed_files:parse", reading.code_at, file.format.read_at)


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
        _refuse_edited(_parser(file, reading))
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


def _account(log: _Log) -> None:
    """Rows that are used and rows that are left out are all that a file has.

    Raises:
        Failure: they are not.
    """
    for file, part in zip(log.files, log.parts.values(), strict=True):
        if part.num_records not in (None, part.num_rows + part.refusals.num_rows):
            raise Failure(
                f"{file.where}: {part.num_rows:,} rows are used and {part.refusals.num_rows:,} left out, but there are "
                f"{part.num_records:,} in the file; delete {part.name} below scratch and run again"
            )


def _told(log: _Log) -> list[str]:
    """What people should know of how the files were read, one sentence for all that are alike."""
    parts, reading = log.parts, log.reading
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
        told.append(f"Times are read as {next(iter(first))}; {log.section}.time_format says otherwise.")
    if replayed := sum(part.num_replayed for part in parts.values()):
        told.append(f"{replayed:,} completions are above 1, as of what is replayed: they count as 1.")
    return told


def _runs(log: _Log, strict: bool) -> list[tuple[str, int]]:
    """Part and number of every run; none where the log has nothing and the night can do without it.

    Raises:
        UserError: the log cannot be used.
    """
    parts = log.parts
    refused = [s for part in parts.values() for s in sentences(part.refusals)]
    if strict and refused:
        shown = "\n".join(f"  {s}" for s in refused[:10])
        more = f"\n  and {len(refused) - 10} more of the kind" if len(refused) > 10 else ""
        total = sum(part.refusals.num_rows for part in parts.values())
        raise UserError(
            f"{log.setting}: {num_rows(total)} of {log.place} cannot be used:\n{shown}{more}\n"
            "Correct them, or set source.strict=false to leave such rows out and count them."
        )
    runs = [(name, number) for name, part in parts.items() for number in range(part.num_runs)]
    if not runs and log.is_plays:
        raise UserError(f"{_nothing_in(log)}; give a log with at least one")
    return runs


def _nothing_in(log: _Log) -> str:
    return f"{log.setting}: {log.place} has no usable {log.row}"
