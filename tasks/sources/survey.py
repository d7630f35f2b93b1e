"""From parsed log files to a state: which rows belong to which day, every id, a digest of each day."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.datasets import ITEMS, USERS
from expectations.errors import Failure, UserError
from expectations.progress import OnProgress
from tasks.sources.config import SourceConfig
from tasks.sources.days import iso_day, last_whole_day
from tasks.sources.ids import ALWAYS, NEVER, Ids, assign_ids, first_times
from tasks.sources.other_logs import LogBeside, day_tables, with_none
from tasks.sources.parsed_files import PlaysReading, load_ids
from tasks.sources.state import SLICE_TYPE, LogReader
from tasks.sources.values import MICROS_PER_DAY

NUM_SUSPICIOUS = 10
"""From this many events on, a day of nothing but new users and new items is suspicious, as is a log of what is not
listed."""

LEAST_OVERLAP = 0.05
"""Less of the events is of what is listed, and less of what is listed has events: two systems of ids."""

NUM_SPREAD = 8
"""So many values of a column, the most frequent ones, are told."""

_DATED = {"user": (USERS, "signup_date"), "item": (ITEMS, "uploaded_at")}


def positive_bars(config: SourceConfig, reading: PlaysReading) -> dict[str, float]:
    """Column -> value from which on an event is a positive.

    Raises:
        UserError: there is a bar for a column that the log does not have.
    """
    bars = {"rating": config.positive_min_rating, "completion": config.positive_min_completion}
    for name, bar in bars.items():
        if bar is not None and name not in reading.values:
            remedy = "leave the bar out"
            if not config.clicks_are_plays:
                remedy = f"set source.columns.{name} to its column, or {remedy}"
            raise UserError(f"source.positive_min_{name} is set, but the log has no {name}; {remedy}")
    return {name: bar for name, bar in bars.items() if bar is not None}


def open_log(parts: Path, runs: list[tuple[str, int]], bars: Mapping[str, float]) -> LogReader:
    """A reader that knows where the rows of each day are, but no dense ids yet."""
    reader = LogReader(parts, runs, np.empty(0, SLICE_TYPE), {}, bars)
    pieces = []
    for run in range(len(runs)):
        days, starts = np.unique(reader.run(run)["time"] // MICROS_PER_DAY, return_index=True)
        piece = np.empty(len(days), SLICE_TYPE)
        piece["day"], piece["run"], piece["start"] = days, run, starts
        piece["stop"] = np.append(starts[1:], len(reader.run(run)))
        pieces.append(piece)
    slices = np.concatenate(pieces)
    reader.slices = slices[np.lexsort((slices["run"], slices["day"]))]
    return reader


def give_ids(reader: LogReader, kind: str, listing: pa.Table, beside: Mapping[str, LogBeside]) -> Ids:
    """Give users or items their dense ids, and the readers of the plays and of the logs beside the way to them."""
    others = [log.reader for log in beside.values() if kind in log.fields]
    in_runs, times = [], []
    for one in (reader, *others):
        for run, (part, number) in enumerate(one.runs):
            rows = one.run(run)
            in_runs.append(load_ids(one.parts / part, number, kind))
            known = rows if one is reader else rows[rows[kind] >= 0]
            times.append(first_times(known, kind, len(in_runs[-1])))
    dated = listing[_DATED[kind][1]].combine_chunks()
    days = dated.cast(pa.timestamp("us")) if pa.types.is_date(dated.type) else dated
    micros = pc.fill_null(days.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    listed_day = np.where(dated.is_null().to_numpy(zero_copy_only=False), ALWAYS, micros // MICROS_PER_DAY)
    listed = listing["external_id"].combine_chunks()
    ids, dense = assign_ids(
        in_runs, times, listed, listed_day.astype(np.int32), f"{kind} ids of the log and its {kind}s"
    )
    reader.dense[kind], dense = dense[: len(reader.runs)], dense[len(reader.runs) :]
    for one in others:
        one.dense[kind], dense = with_none(dense[: len(one.runs)]), dense[len(one.runs) :]
    return ids


@dataclass
class Survey:
    """What looking at every day of a log adds up to."""

    reader: LogReader
    ids: Mapping[str, Ids]
    beside: Mapping[str, LogBeside] = field(default_factory=dict)
    days: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    last_times: dict[int, int] = field(default_factory=dict)
    num_repeated: int = 0
    num_linked: int = 0
    positives: dict[str, int] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)
    num_listed: dict[str, int] = field(default_factory=lambda: {"user": 0, "item": 0})
    _share_new: float = 1.0

    def look(self, progress: OnProgress) -> None:
        """Look at every calendar day from the first event to the last."""
        first, last = int(self.reader.slices["day"][0]), int(self.reader.slices["day"][-1])
        for day in range(first, last + 1):
            self._look_at(day)
            progress(day - first + 1, last - first + 1, iso_day(day))

    def _look_at(self, day: int) -> None:
        tables = day_tables(self.reader, self.beside, day)
        found = tables["watches"]
        date = iso_day(day)
        for name, log in self.beside.items():
            log.days[date], log.rows[date] = tables[name].digest, tables[name].table.num_rows
            log.num_repeated += tables[name].num_repeated
        self.days[date], self.rows[date] = found.digest, found.table.num_rows
        self.num_repeated += found.num_repeated
        if "request_id" in found.table.column_names:
            self.num_linked += found.table.num_rows - found.table["request_id"].null_count
        self.positives[date] = pc.sum(found.table["positive"]).as_py() or 0
        if found.table.num_rows:
            self.last_times[day] = pc.max(found.table["time"]).cast(pa.int64()).as_py()
            self._compare(day, found.table)
            for kind, ids in self.ids.items():
                listed = ids.listed_row[found.table[f"{kind}_id"].to_numpy()] >= 0
                self.num_listed[kind] += int(listed.sum())

    def _compare(self, day: int, table: pa.Table) -> None:
        """A day on which suddenly everything is new most likely has ids of another system."""
        new = np.ones(table.num_rows, dtype=bool)
        for kind, ids in self.ids.items():
            dense = table[f"{kind}_id"].to_numpy()
            new &= (ids.first_time[dense] // MICROS_PER_DAY == day) & (ids.listed_row[dense] < 0)
        share = float(new.mean())
        if share == 1 and self._share_new < 0.5 and table.num_rows >= NUM_SUSPICIOUS:
            example = {k: ids.external[int(table[f"{k}_id"][0].as_py())].as_py() for k, ids in self.ids.items()}
            usual = {k: ids.external[0].as_py() for k, ids in self.ids.items()}
            self.strange.append(
                f"{iso_day(day)}: all users and items of its {table.num_rows:,} events are new "
                f"(such as user {example['user']!r}, item {example['item']!r}; before: {usual['user']!r}, "
                f"{usual['item']!r})"
            )
        self._share_new = share

    def apart(self) -> list[str]:
        """Users or items of which the log and the file that lists them know hardly one in common.

        A catalogue much larger than the log is none, and neither is a file of few of the log's users: of the smaller
        one most is known to the other.
        """
        found, events = [], sum(self.rows.values())
        for kind, ids in self.ids.items():
            listed = ids.listed_row >= 0
            both = int((listed & (ids.first_time < NEVER)).sum())
            few = self.num_listed[kind] < LEAST_OVERLAP * events and both < LEAST_OVERLAP * listed.sum()
            if few and events >= NUM_SUSPICIOUS:
                words = [
                    ", ".join(repr(i.as_py()) for i in ids.external.filter(pa.array(m))[:3]) for m in (~listed, listed)
                ]
                found.append(
                    f"{self.num_listed[kind]:,} of {events:,} events are of a listed {kind}, and {both:,} of "
                    f"{listed.sum():,} listed {kind}s have an event (in the log: {words[0]}; listed: {words[1]})"
                )
        return found

    def account(self) -> None:
        """The days and the rows that repeat others are all rows of the files.

        Raises:
            Failure: they are not.
        """
        in_days = sum(self.rows.values()) + self.num_repeated
        in_files = sum(len(self.reader.run(number)) for number in range(len(self.reader.runs)))
        if in_days != in_files:
            raise Failure(
                f"{in_files:,} rows are in the files of the log and {in_days:,} in its days; none may be lost"
            )
        first, last = self.reader.slices["day"][[0, -1]]
        for name, log in self.beside.items():
            slices, sizes = log.reader.slices, log.reader.slices["stop"] - log.reader.slices["start"]
            log.num_outside = int(sizes[(slices["day"] < first) | (slices["day"] > last)].sum())
            in_days = sum(log.rows.values()) + log.num_repeated + log.num_outside
            if in_days != sizes.sum():
                raise Failure(f"{sizes.sum():,} {name} are in the files and {in_days:,} in the days; none may be lost")

    def notes(self) -> list[str]:
        """What was left out or looks odd."""
        told = [f"{s}." for s in (*self.strange, *self.apart())]
        for kind, ids in self.ids.items():
            if ids.was_float:
                told.append(f"{kind} ids such as {ids.was_float!r} are known as the whole numbers that they are.")
        if self.num_repeated:
            told.append(
                f"{self.num_repeated:,} rows repeat a user, item and time of another row; one of each was kept."
            )
        for name, log in self.beside.items():
            if log.num_repeated:
                told.append(f"{name} that repeat others: {log.num_repeated:,}; one of each was kept.")
            if log.num_outside:
                told.append(
                    f"{name} of days before the first play or after the last: {log.num_outside:,}; they are not used."
                )
            told += self._only_beside(name, log)
        told += self._linked()
        empty = [date for date, rows in self.rows.items() if not rows]
        if empty:
            word = "day has" if len(empty) == 1 else "days have"
            told.append(f"{len(empty)} {word} no events: {', '.join(empty[:5])}{' ...' if len(empty) > 5 else ''}.")
        return told

    def _linked(self) -> list[str]:
        """How many plays came from what was shown: the ranker learns from these."""
        if "impressions" not in self.beside:
            return []
        plays = sum(self.rows.values())
        if not self.num_linked:
            return [
                f"None of the {plays:,} plays came from an impression of its item to its user before it on its day, "
                "and the ranker learns from those: are ids and time zones the same in both logs, and does the log of "
                "impressions reach the last window.rank_days days of training?"
            ]
        share = f"{self.num_linked:,} of {plays:,} plays ({self.num_linked / plays:.0%})"
        return [f"{share} came from an impression before them on their day."]

    def _only_beside(self, name: str, log: LogBeside) -> list[str]:
        """How many users and items have no play, but are in a log beside: they are known from there."""
        told = []
        for kind, ids in self.ids.items():
            if kind in log.fields:
                there, played = (np.zeros(len(ids.external), dtype=bool) for _ in range(2))
                there[np.concatenate([run[:-1] for run in log.reader.dense[kind]])] = True
                played[np.concatenate(self.reader.dense[kind])] = True
                if count := int((there & ~played).sum()):
                    told.append(f"{kind}s of the {name} without a play: {count:,}; they are known from there.")
        return told

    def facts(self) -> dict[str, Any]:
        """What was found, as JSON types."""
        return {
            "days": self.days,
            "rows": self.rows,
            "positives": self.positives,
            "unreached": _unreached(self),
            "last_whole_day": last_whole_day(self.last_times),
            "num_users": len(self.ids["user"].external),
            "num_items": len(self.ids["item"].external),
        }


def refuse_strange_ids(survey: Survey, columns: str) -> None:
    """Stop at days of nothing but new ids, and at a log that has hardly an id in common with its users or items.

    Args:
        columns: the settings that name the columns of the log.

    Raises:
        UserError: there is such a day, or such a log.
    """
    remedies = {
        "Correct them, or set source.strict=false if they are right.": survey.strange,
        f"Map the columns of the same ids ({columns}, source.users.id, source.items.id), or set "
        "source.strict=false if they are right.": survey.apart(),
    }
    for remedy, told in remedies.items():
        if told:
            raise UserError("\n".join(told[:5]) + f"\nIds of another system? {remedy}")


def _unreached(survey: Survey) -> str:
    """What there is where no event reaches its bar, in a sentence; empty where some do."""
    if any(survey.positives.values()):
        return ""
    reader = survey.reader
    bars = ", ".join(f"source.positive_min_{name}={bar:g}" for name, bar in reader.bars.items())
    found = [_spread(name, [reader.run(run)[name] for run in range(len(reader.runs))]) for name in reader.bars]
    return (
        f"{bars}: none of {sum(survey.rows.values()):,} events is a positive, so there is nothing to learn from; "
        f"{'; '.join(found)}. Set the bar to what people give to what they like, or leave it out."
    )


def _spread(name: str, runs: list[np.ndarray]) -> str:
    """What the values of a column are: `ratings are 1 to 3, median 2 (1: 700 times, 2: 500, 3: 240)`."""
    values = np.concatenate(runs)
    known = values[~np.isnan(values)]
    if not len(known):
        return f"no {name} is known"
    different, counts = np.unique(known, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:NUM_SPREAD]
    each = ", ".join(f"{different[m]:g}: {counts[m]:,}" for m in np.sort(most))
    return f"{name}s are {known.min():g} to {known.max():g}, median {np.median(known):g} ({each} times)"
