"""What was shown, from a log: a row an item, or a row a list, as the `impressions` of a day.

What came of it the plays say: each is linked to the impression that it came from, by `request_id`.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.datasets import IMPRESSIONS, WATCHES
from expectations.errors import UserError
from models.compressed_rows import offsets_of
from tasks.sources.config import ImpressionsFile
from tasks.sources.days import IDS_PER_DAY, Day, iso_day
from tasks.sources.id_lists import as_id_lists, without_marks
from tasks.sources.parsed_files import Checked, Forms, Piece, Reading, Texts, run_of
from tasks.sources.reading import Batch, DataFile
from tasks.sources.values import as_ids, without_point_zero

MOST_PLACES = 2**15 - 1
"""Of one request, as the dataset has room for."""

LISTS_AT_ONCE = 50_000
"""Rows of lists that are cut at a time: each becomes tens of rows."""

CLICKS = "clicks"
"""Folder of the runs of what was clicked, where these are the plays."""

_PLAY_TYPE = np.dtype([("time", "<i8"), ("user", "<i4"), ("item", "<i4")])


@dataclass(frozen=True)
class ShownReading(Reading):
    """How what was shown is to be understood.

    Attributes:
        clicks_are_plays: what was clicked is wanted as plays, too.
    """

    columns: ImpressionsFile
    clicks_are_plays: bool

    code_at = "tasks.sources.impressions:ShownReading"

    @property
    def time(self) -> str:
        return self.columns.time

    @property
    def wanted(self) -> list[str]:
        return self.columns.names

    @property
    def tells_clicks(self) -> bool:
        return bool(self.columns.clicked or self.columns.mark)

    @property
    def run_type(self) -> np.dtype:
        """Rows of a run.

        `request` stands for the page or rail, among those of one user; `position` is 1 everywhere where the order of
        the rows says it.
        """
        fixed = [("time", "<i8"), ("user", "<i4"), ("item", "<i4"), ("request", "<i8"), ("position", "<i4")]
        optional = {
            "clicked": ("i1", self.tells_clicks),
            "propensity": ("<f4", self.columns.propensity),
            "surface": ("<i4", self.columns.surface),
        }
        return np.dtype([*fixed, *((name, type_) for name, (type_, there) in optional.items() if there)])

    def pieces(self, file: DataFile, batch: Batch, forms: Forms) -> Iterator[Piece]:
        """Lists in several, as each becomes many rows."""
        if not self.columns.shown:
            yield self._of_items(Checked(file, batch, self, forms))
            return
        for start in range(0, batch.rows, LISTS_AT_ONCE):
            yield self._of_lists(Checked(file, _part_of(batch, start, LISTS_AT_ONCE), self, forms))

    def _of_items(self, checked: Checked) -> Piece:
        c = self.columns
        texts = {"user": checked.ids("user", c.user), "item": checked.ids("item", c.item)}
        numbers = {"time": checked.time(c.time), "position": np.ones(len(checked.ok))}
        if c.position:
            numbers["position"] = places = checked.number("position", c.position)
            with np.errstate(invalid="ignore"):
                bad = ~((places >= 1) & (places <= MOST_PLACES) & (places == np.floor(places)))
            checked.refuse(bad, f"a position that is no whole number from 1 to {MOST_PLACES:,}", c.position)
        if c.propensity:
            numbers["propensity"] = chances = checked.number("propensity", c.propensity)
            with np.errstate(invalid="ignore"):
                checked.refuse(
                    ~((chances > 0) & (chances <= 1)), "a propensity that is not above 0 and up to 1", c.propensity
                )
        if c.clicked:
            numbers["clicked"] = clicks = checked.number("clicked", c.clicked)
            checked.refuse(~np.isin(clicks, (0, 1)), "a click that is neither 1 nor 0", c.clicked)
        numbers["request"] = _requests(checked, c.request) if c.request else numbers["time"]
        return self._piece(checked, texts, numbers, np.arange(len(checked.ok)))

    def _of_lists(self, checked: Checked) -> Piece:
        c = self.columns
        user, time = checked.ids("user", c.user), checked.time(c.time)
        shown = as_id_lists(checked.batch.columns[c.shown], c.separator, checked.where(c.shown))
        sizes = pc.list_value_length(shown).to_numpy(zero_copy_only=False)
        checked.refuse(sizes == 0, "nothing shown", c.shown)
        checked.refuse(sizes > MOST_PLACES, f"more than {MOST_PLACES:,} items", c.shown)
        row = np.repeat(np.arange(len(sizes)), sizes)
        each, clicked = shown.flatten(), None
        if c.mark:
            each, clicked, bad = without_marks(each, c.mark)
            checked.refuse(_any(bad, row, len(sizes)), f"an item without {c.mark}0 or {c.mark}1 behind it", c.shown)
        items = as_ids(each, checked.where(c.shown)).dictionary_encode()
        places = items.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        checked.refuse(_any(places < 0, row, len(sizes)), "an item without an id", c.shown)
        if c.clicked:
            clicked, missing = self._clicked(checked, items.dictionary, places, row)
            checked.refuse(missing, "a click on what was not shown", c.clicked)
        request = _requests(checked, c.request) if c.request else _hashed(self._contents(checked, time, each, sizes))
        numbers = {"time": time[row], "request": request[row], "position": _place_in_list(sizes)}
        if clicked is not None:
            numbers["clicked"] = clicked
        texts = {"user": (user[0][row], user[1]), "item": (places, items.dictionary)}
        return self._piece(checked, texts, numbers, row)

    def _clicked(
        self, checked: Checked, items: pa.Array, places: np.ndarray, row: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Whether each item shown is in the list of those clicked, and of each row whether others are in it."""
        column = self.columns.clicked
        lists = as_id_lists(checked.batch.columns[column], self.columns.separator, checked.where(column))
        sizes = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
        of_row = np.repeat(np.arange(len(sizes)), sizes)
        where = checked.where(column)
        # Floats in one of the columns only: the ids are the same.
        both = without_point_zero(pa.concat_arrays([items, as_ids(lists.flatten(), where)]), where).dictionary_encode()
        codes = both.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        shown = row << 32 | np.append(codes[: len(items)], -1)[places].astype(np.uint32)
        clicks = of_row << 32 | codes[len(items) :].astype(np.uint32)
        return np.isin(shown, clicks), _any(~np.isin(clicks, shown), of_row, len(sizes))

    def _contents(self, checked: Checked, time: np.ndarray, items: pa.Array, sizes: np.ndarray) -> pa.Array:
        """What tells lists of one user apart: when, where and what; not what was clicked, which may be told later."""
        shown = pa.ListArray.from_arrays(offsets_of(sizes).astype(np.int32), items)
        parts = [pa.array(time).cast(pa.string()), pc.binary_join(shown, "\x1f")]
        if surface := self.columns.surface:
            parts.append(as_ids(checked.batch.columns[surface], checked.where(surface)))
        return pc.binary_join_element_wise(*parts, "\x1e", null_handling="replace")

    def _piece(self, checked: Checked, texts: dict[str, Texts], numbers: dict[str, Any], row: np.ndarray) -> Piece:
        """Runs of rows that are each of a row of the file."""
        if self.columns.surface:
            places, different = checked.ids("surface", self.columns.surface, required=False)
            texts["surface"] = places[row], different
        ok = checked.ok[row]
        runs = {"": run_of(self.run_type, texts, numbers, ok)}
        if self.clicks_are_plays:
            played = {kind: texts[kind] for kind in ("user", "item")}
            runs[CLICKS] = run_of(_PLAY_TYPE, played, {"time": numbers["time"]}, ok & (numbers["clicked"] == 1))
        return Piece(runs, int(checked.ok.sum()), checked.refusals, checked.num_future)


def _part_of(batch: Batch, start: int, count: int) -> Batch:
    """Some rows of a batch, which keep their numbers."""
    columns = {name: values.slice(start, count) for name, values in batch.columns.items()}
    lines = None if batch.lines is None else batch.lines[start : start + count]
    rows = min(count, batch.rows - start)
    return replace(batch, columns=columns, first=batch.first + start, rows=rows, lines=lines)


def _any(bad: np.ndarray, row: np.ndarray, count: int) -> np.ndarray:
    """Of each row, whether anything in its list is bad."""
    return np.bincount(row[bad], minlength=count) > 0


def _place_in_list(sizes: np.ndarray) -> np.ndarray:
    ends = np.cumsum(sizes)
    return np.arange(1, int(sizes.sum()) + 1) - np.repeat(ends - sizes, sizes)


def _requests(checked: Checked, column: str) -> np.ndarray:
    """A number that stands for each row's request."""
    places, different = checked.ids("request", column)
    return np.append(_hashed(different), 0)[places]


def _hashed(texts: pa.Array) -> np.ndarray:
    """int64 by BLAKE2: the same wherever and whenever a text is read."""
    digests = b"".join(hashlib.blake2b((t or "").encode(), digest_size=8).digest() for t in texts.to_pylist())
    return np.frombuffer(digests, dtype="<i8")


# --- the impressions of a day --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown(Day):
    """The impressions of a day.

    Attributes:
        table: dataset `impressions`, by request and position.
        clicked: bool, of each; None where the plays say it.
    """

    clicked: np.ndarray | None = None


def impressions_of(rows: np.ndarray, day: int, surfaces: pa.Array | None) -> Shown:
    """Make the impressions of a day.

    What is there several times, as logs are often delivered at least once or write a click as a row of its own, is kept
    once: where and when it was shown first, clicked if it ever was.
    Requests are numbered by time; a place that is taken moves what comes after it on.

    Args:
        rows: run rows with dense ids.
        day: days since 1970.
        surfaces: words that `surface` numbers.

    Raises:
        UserError: more was shown in one request than there are places.
    """
    names = rows.dtype.names or ()
    clicked = rows["clicked"] if "clicked" in names else np.zeros(len(rows), np.int8)
    given = np.arange(len(rows))
    order = np.lexsort((given, rows["time"], rows["item"], rows["position"], rows["request"], rows["user"]))
    same = _equal_neighbours(rows[order], ("user", "request", "position", "item"))
    firsts, clicked = order[~same], _largest_each(clicked[order], ~same)
    in_order = np.argsort(firsts)
    rows, clicked = rows[firsts[in_order]], clicked[in_order]
    rest = np.lexsort((np.arange(len(rows)), rows["time"], rows["position"], rows["request"], rows["user"]))
    rows, clicked = rows[rest], clicked[rest]
    starts = np.flatnonzero(~_equal_neighbours(rows, ("user", "request")))
    sizes = np.diff(np.append(starts, len(rows)))
    position = _free_places(rows["position"], starts, sizes)
    if len(position) and position.max() > MOST_PLACES:
        raise UserError(
            f"source.impressions: on {iso_day(day)} somebody was shown something in place {position.max():,} of one "
            f"request, and there are {MOST_PLACES:,}; is request, or time, the right column?"
        )
    first = np.minimum.reduceat(rows["time"], starts) if len(starts) else np.empty(0, np.int64)
    number = np.empty(len(starts), np.int64)
    number[np.lexsort((rows["request"][starts], rows["user"][starts], first))] = np.arange(len(starts))
    request = day * IDS_PER_DAY + np.repeat(number, sizes)
    last = np.lexsort((position, request))
    rows, clicked = rows[last], clicked[last].astype(bool)
    columns: dict[str, Any] = {
        "request_id": request[last],
        "position": position[last].astype(np.int16),
        "user_id": rows["user"],
        "item_id": rows["item"],
        "time": pa.array(rows["time"], type=pa.timestamp("us", tz="UTC")),
        "propensity": rows["propensity"] if "propensity" in names else np.ones(len(rows), np.float32),
    }
    if surfaces is not None:
        columns["surface"] = surfaces.take(pa.array(rows["surface"], mask=rows["surface"] < 0))
    made = {f.name: columns.get(f.name, pa.nulls(len(rows), f.type)) for f in IMPRESSIONS.schema}
    table = pa.table(made, schema=IMPRESSIONS.schema)
    return Shown(table, int(same.sum()), clicked if "clicked" in names else None)


def _equal_neighbours(rows: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Of rows in order, whether each has what the one before it has."""
    same = np.ones(len(rows), dtype=bool)
    same[:1] = False
    for name in names:
        same[1:] &= rows[name][1:] == rows[name][:-1]
    return same


def _largest_each(values: np.ndarray, is_first: np.ndarray) -> np.ndarray:
    """The largest value of each group; a mask says which values are the first of one."""
    return np.asarray(np.maximum.reduceat(values, np.flatnonzero(is_first))) if len(values) else values


def _free_places(position: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Ascending positions of each request, those that are taken moved on to the next that is free."""
    within = np.arange(len(position)) - np.repeat(starts, sizes)
    request = np.repeat(np.arange(len(starts), dtype=np.int64), sizes) << 32
    moved = np.maximum.accumulate(request + position - within) - request + within
    return np.asarray(moved)


def linked(watches: Day, shown: Shown) -> Day:
    """The plays of a day, each with the request of the impression that it came from.

    That is the last one of the item to the user up to then, on this day; only of those that were clicked where the
    log says which were.
    """
    told = shown.table if shown.clicked is None else shown.table.filter(pa.array(shown.clicked))
    request = told["request_id"].to_numpy()
    (pair, time), (played, when) = _pairs_and_times(told), _pairs_and_times(watches.table)
    pairs, times = np.concatenate([pair, played]), np.concatenate([time, when])
    is_play = np.arange(len(pairs)) >= len(pair)
    order = np.lexsort((np.append(request, np.zeros(len(played), np.int64)), is_play, times, pairs))
    last = np.maximum.accumulate(np.where(is_play[order], -1, np.arange(len(order))))
    came = np.empty(len(pairs), np.int64)
    came[order] = np.where((last >= 0) & (pairs[order[last]] == pairs[order]), order[last], -1)
    came = came[is_play]
    ids = pa.array(np.append(request, 0)[came], mask=came < 0)
    place = watches.table.schema.get_field_index("user_id")
    return replace(watches, table=watches.table.add_column(place, WATCHES.schema.field("request_id"), ids))


def _pairs_and_times(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    pairs = table["user_id"].to_numpy().astype(np.int64) << 32 | table["item_id"].to_numpy()
    return pairs, table["time"].cast(pa.int64()).to_numpy()
