"""Training examples from a log of any length, in bounded memory.

Two passes. The first streams the Parquet files batch by batch and appends every positive to one of P scratch files,
chosen by user, so that a user's whole sequence lies in one file. P grows with the log, so a file does not. The second
reads one file at a time, sorts it by user and time, finds the examples and writes the shard that training reads. No
more than one shard is ever in memory.

An example is one positive; its history is the user's positives strictly before it. A user's second watch of an item
is history but no example: what was seen is not recommended again.
"""

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.interactions import Interactions
from models.retrieval.searches import WORD, distinct_words, last_words, read_words

_ROW = np.dtype([("user", np.int32), ("item", np.int32), ("time", np.int64), ("watch", np.int64)])
_READ_ROWS = 65_536
_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Examples:
    """Some examples, as places in sequences of items: E examples over S watches.

    Attributes:
        items: `[S]` item rows (1 + row of the catalogue), user after user, oldest first.
        user: `[E]` user id.
        target: `[E]` place in `items` of the positive.
        start, end: `[E]` places in `items` between which its history lies, `end` excluded.
        searched: `[E, L]` the last words typed on earlier days: 1 + row of `ExampleShards.words`, newest last, 0 for
            none.
        age_days: `[E]` days from the example to the end of what is trained on; 0 for what is held out.
    """

    items: np.ndarray
    user: np.ndarray
    target: np.ndarray
    start: np.ndarray
    end: np.ndarray
    searched: np.ndarray
    age_days: np.ndarray

    def __len__(self) -> int:
        return len(self.user)

    def take(self, chosen: np.ndarray) -> "Examples":
        """The chosen examples, over the same sequences."""
        of_each = {name: values[chosen] for name, values in vars(self).items() if name != "items"}
        return Examples(self.items, **of_each)

    def positives(self) -> np.ndarray:
        """`[E]` item row of each example."""
        return self.items[self.target]

    def histories(self, length: int) -> np.ndarray:
        """`[E, length]` item rows, newest last, left-padded with 0."""
        places = self.end[:, None] + np.arange(-length, 0)
        inside = places >= self.start[:, None]
        return np.where(inside, self.items[np.where(inside, places, 0)], 0)


_PLACES = ("target", "start", "end")
"""Attributes of examples that point into their sequences."""


@dataclass(frozen=True)
class ExampleShards:
    """The examples of a window, on disk: one `.npz` a shard, and what the losses need to know of all of them.

    Attributes:
        frequency: `[items + 1]` share of the training examples whose positive is the item row.
        num_positives: `[items + 1]` training positives of the item row before any cap.
        validation: a sample of the positives of the validation days; their histories end where those days begin, as
            they do when the model is judged.
        words: every word that was searched for, ascending.
    """

    paths: tuple[Path, ...]
    num_examples: int
    frequency: np.ndarray
    num_positives: np.ndarray
    validation: Examples
    words: tuple[str, ...] = ()

    def read(self, shard: int) -> Examples:
        """Training examples of one shard."""
        with np.load(self.paths[shard]) as arrays:
            return Examples(**arrays)


def write_examples(
    watches: Sequence[Path],
    item_ids: np.ndarray,
    folder: Path,
    *,
    split: datetime.datetime,
    max_examples_per_user: int,
    max_validation_examples: int,
    seed: int,
    searches: Sequence[Path] = (),
    num_words: int = 0,
    rows_per_shard: int = 1 << 20,
    on_progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> ExampleShards:
    """Turn Parquet files of watches into shards of examples below `folder`.

    Args:
        item_ids: ids of the catalogue, ascending; watches of other items are left out.
        split: positives from here on are validation, not training.
        max_examples_per_user: of a user's training examples the latest are kept.
        searches: Parquet files of searches.
        num_words: last words of them that an example is told.
        rows_per_shard: aimed watches of a shard; decides memory, and the order of examples.
    """
    rows = sum(pq.read_metadata(path).num_rows for path in watches)
    num_shards = max(1, -(-rows // rows_per_shard))
    scratch = [folder / f"watches-{shard:05d}.bin" for shard in range(num_shards)]
    _scatter(watches, lambda path: _positives(path, item_ids), scratch, on_progress)
    words = distinct_words(searches)
    typed = [folder / f"words-{shard:05d}.bin" for shard in range(num_shards)]
    _scatter(searches, lambda path: read_words(path, words), typed, lambda *_: None)
    paths, training, positives, validation = [], np.zeros(len(item_ids) + 1), np.zeros(len(item_ids) + 1), []
    rng = np.random.default_rng([seed, 1])
    for shard, path in enumerate(scratch):
        told = Told(np.fromfile(typed[shard], dtype=WORD), num_words, int(split.timestamp() * 1e6))
        train, held_out, all_positives = _examples(np.fromfile(path, dtype=_ROW), told, max_examples_per_user)
        path.unlink()
        typed[shard].unlink()
        positives += np.bincount(all_positives, minlength=len(positives))
        training += np.bincount(train.positives(), minlength=len(training))
        validation.append(_sample(held_out, -(-max_validation_examples // num_shards), rng))
        paths.append(folder / f"examples-{shard:05d}.npz")
        np.savez(paths[-1], **vars(train))
    num_examples = int(training.sum())
    return ExampleShards(
        paths=tuple(paths),
        num_examples=num_examples,
        frequency=training / max(num_examples, 1),
        num_positives=positives.astype(np.int64),
        validation=_joined(validation),
        words=tuple(words.to_pylist()),
    )


def shard_of(interactions: Interactions, folder: Path, max_examples_per_user: int) -> ExampleShards:
    """What `write_examples` makes of a log, of ordered interactions held in memory: one shard, no validation."""
    histories = interactions.histories
    places = np.arange(len(histories.items))
    rows = np.empty(len(places), dtype=_ROW)
    rows["user"], rows["item"], rows["watch"] = histories.rows, histories.items + 1, places
    rows["time"] = places if interactions.times is None else interactions.times * 1_000_000
    told = Told(np.empty(0, dtype=WORD), 0, int(rows["time"].max(initial=0)) + 1)
    train, held_out, positives = _examples(rows, told, max_examples_per_user)
    path = folder / "examples-00000.npz"
    np.savez(path, **vars(train))
    num_rows = interactions.num_items + 1
    frequency = np.bincount(train.positives(), minlength=num_rows) / max(len(train), 1)
    return ExampleShards((path,), len(train), frequency, np.bincount(positives, minlength=num_rows), held_out)


def _scatter(
    files: Sequence[Path],
    rows_of: Callable[[Path], Iterator[np.ndarray]],
    scratch: Sequence[Path],
    on_progress: Callable[[int, int, str], None],
) -> None:
    """First pass: append every row to the scratch file of its user."""
    for path in scratch:
        path.touch()
    for done, path in enumerate(files, start=1):
        for rows in rows_of(path):
            shards = _mixed(rows["user"]) % len(scratch)
            for shard in np.unique(shards):
                with scratch[shard].open("ab") as file:
                    rows[shards == shard].tofile(file)
        on_progress(done, len(files), "reading watches")


def _positives(path: Path, item_ids: np.ndarray) -> Iterator[np.ndarray]:
    """Positives of the catalogue's items."""
    columns = ["user_id", "item_id", "time", "watch_id", "positive"]
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_READ_ROWS, columns=columns):
            yield _rows(batch.filter(batch["positive"]), item_ids)


def _rows(batch: pa.RecordBatch, item_ids: np.ndarray) -> np.ndarray:
    items = batch["item_id"].to_numpy(zero_copy_only=False)
    places = np.searchsorted(item_ids, items)
    known = item_ids[np.minimum(places, len(item_ids) - 1)] == items
    rows = np.empty(int(known.sum()), dtype=_ROW)
    rows["user"] = batch["user_id"].to_numpy(zero_copy_only=False)[known]
    rows["item"] = places[known] + 1
    rows["time"] = pc.cast(batch["time"], pa.int64()).to_numpy(zero_copy_only=False)[known]
    rows["watch"] = batch["watch_id"].to_numpy(zero_copy_only=False)[known]
    return rows


def _mixed(users: np.ndarray) -> np.ndarray:
    """Scatter user ids evenly: dense ids often carry meaning (sign-up order), a shard should be a fair sample."""
    mixed = users.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (mixed >> np.uint64(32)).astype(np.int64)


@dataclass(frozen=True)
class Told:
    """What an example is told beside its history: searches, and its age.

    Attributes:
        words: of `WORD`, everything typed by the users of the shard.
        num_words: L, the last of them that count.
        split: end of what is trained on, microseconds since 1970.
    """

    words: np.ndarray
    num_words: int
    split: int

    def of(self, users: np.ndarray, times: np.ndarray) -> dict[str, np.ndarray]:
        """`searched` and `age_days` of positives.

        Words count from the next day on, as they will for lists that are made at night: those of the same hour so often
        name what is watched next that little else would be learnt.
        """
        moments = np.minimum(times, self.split) // _DAY_US * _DAY_US
        age_days = np.maximum(self.split - times, 0) / _DAY_US
        return {
            "searched": last_words(self.words, users, moments, self.num_words),
            "age_days": age_days.astype(np.float32),
        }


def _examples(rows: np.ndarray, told: Told, max_per_user: int) -> tuple[Examples, Examples, np.ndarray]:
    """Second pass, one shard: training examples, validation examples, and all training positives (item rows)."""
    rows = rows[np.lexsort((rows["watch"], rows["time"], rows["user"]))]
    users, times, items = rows["user"], rows["time"], rows["item"]
    first = _first_watches(users, items)
    place = np.arange(len(rows))
    start = _group_starts(users)
    # Watches of one moment do not precede each other: the history ends where the moment begins.
    moment = np.maximum(start, _group_starts(times, users))
    is_train = times < told.split
    last_train = start + _count_by_group(is_train, start)
    train = place[is_train & first]
    train = train[_places_from_end(users[train]) < max_per_user]
    held_out = place[~is_train & first]

    def examples(chosen: np.ndarray, ends: np.ndarray) -> Examples:
        user = users[chosen]
        return Examples(items, user, chosen, start[chosen], ends[chosen], **told.of(user, times[chosen]))

    return examples(train, moment), examples(held_out, last_train), items[is_train & first]


def _first_watches(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Whether each row is the first of its user and item, in rows sorted by user and time."""
    order = np.lexsort((np.arange(len(users)), items, users))
    new = np.ones(len(users), dtype=bool)
    new[1:] = (users[order][1:] != users[order][:-1]) | (items[order][1:] != items[order][:-1])
    first = np.empty_like(new)
    first[order] = new
    return first


def _group_starts(*columns: np.ndarray) -> np.ndarray:
    """For sorted rows, the place where each row's group (equal values of all columns) begins."""
    new = np.zeros(len(columns[0]), dtype=bool)
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))


def _count_by_group(flags: np.ndarray, start: np.ndarray) -> np.ndarray:
    """How many flags each row's group has; `start` is the place where the group begins."""
    return np.bincount(start, weights=flags, minlength=len(start)).astype(np.int64)[start]


def _places_from_end(users: np.ndarray) -> np.ndarray:
    """0 for the last row of each user, 1 for the one before, ..., in rows sorted by user."""
    reverse = users[::-1]
    return (np.arange(len(users)) - _group_starts(reverse))[::-1]


def _sample(examples: Examples, most: int, rng: np.random.Generator) -> Examples:
    """At most so many examples, with only the watches that their histories and targets need."""
    chosen = np.sort(rng.choice(len(examples), min(most, len(examples)), replace=False))
    return _compact(examples.take(chosen))


def _compact(examples: Examples) -> Examples:
    needed = np.zeros(len(examples.items) + 1, dtype=np.int64)
    np.add.at(needed, examples.start, 1)
    np.add.at(needed, examples.end, -1)
    keep = needed.cumsum()[:-1] > 0
    keep[examples.target] = True
    place = np.concatenate([[0], keep.cumsum()])
    moved = {name: place[getattr(examples, name)] for name in _PLACES}
    return replace(examples, items=examples.items[keep], **moved)


def _joined(parts: Sequence[Examples]) -> Examples:
    offsets = np.cumsum([0, *(len(part.items) for part in parts[:-1])])
    moved = [
        replace(part, **{name: getattr(part, name) + offset for name in _PLACES})
        for part, offset in zip(parts, offsets, strict=True)
    ]
    return Examples(*(np.concatenate([getattr(part, f.name) for part in moved]) for f in fields(Examples)))
