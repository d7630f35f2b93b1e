"""Examples against a slow, obvious reference, and their memory against the length of the log."""

import datetime
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.retrieval.examples import Examples, write_examples

DAY = 86_400
NUM_USERS, NUM_ITEMS = 20, 30
CATALOGUE = np.arange(5, 5 + NUM_ITEMS)  # ids from 5 on, so that ids, rows and places differ


@pytest.fixture(scope="module")
def log() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    rows = 600
    return {
        "user": rng.integers(0, NUM_USERS, rows),
        "item": rng.integers(0, NUM_ITEMS + 8, rows),  # some are not in the catalogue
        "time": rng.integers(0, 10 * DAY // 7200, rows) * 7200.0,  # many at the same moment
        "positive": rng.random(rows) < 0.7,
        "watch_id": rng.permutation(rows),
    }


@pytest.fixture(scope="module")
def split(last_day) -> datetime.datetime:
    """The last two days are validation."""
    return datetime.datetime.combine(last_day, datetime.time(), datetime.UTC) - datetime.timedelta(days=1)


def shards_of(folder: Path, paths, split, **changes):
    folder.mkdir()
    settings = {"max_examples_per_user": 10_000, "max_validation_examples": 10_000, "seed": 0} | changes
    return write_examples(paths, CATALOGUE, folder, split=split, **settings)


def as_set(examples: Examples, length: int = 8) -> set[tuple]:
    """Examples as (user, positive, history), items as ids."""
    ids = np.concatenate([[-1], CATALOGUE])
    columns = (examples.user, ids[examples.positives()], ids[examples.histories(length)])
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    assert len(set(map(str, rows))) == len(rows)
    return {(user, item, tuple(history)) for user, item, history in rows}


def reference(log, length: int = 8, per_user: int = 10_000) -> tuple[set[tuple], set[tuple]]:
    """Training and validation examples, one user and one watch at a time; `time` is seconds before the end."""
    train, validation = set(), set()
    for user in range(NUM_USERS):
        rows = [
            (-log["time"][k], log["watch_id"][k], int(log["item"][k]))
            for k in range(len(log["user"]))
            if log["user"][k] == user and log["positive"][k] and log["item"][k] in CATALOGUE
        ]
        rows.sort()
        found = []
        for k, (time, _, item) in enumerate(rows):
            if item in [other for _, _, other in rows[:k]]:
                continue
            is_train = time < -2 * DAY
            before = min(time, -2 * DAY)
            history = [i for t, _, i in rows if t < before][-length:]
            example = (user, item, tuple([-1] * (length - len(history)) + history))
            if is_train:
                found.append(example)
            else:
                validation.add(example)
        train |= set(found[-per_user:])
    return train, validation


def all_examples(shards) -> set[tuple]:
    parts = [as_set(shards.read(shard)) for shard in range(len(shards.paths))]
    assert sum(map(len, parts)) == len(set().union(*parts)) == shards.num_examples
    return set().union(*parts)


@pytest.mark.parametrize("rows_per_shard", [10_000, 100])
@pytest.mark.parametrize("per_user", [10_000, 3])
def test_examples_equal_those_of_the_reference(tmp_path, log, split, write, rows_per_shard, per_user):
    path = write(tmp_path / "w.parquet", **log)
    shards = shards_of(
        tmp_path / "s", [path], split, rows_per_shard=rows_per_shard, max_examples_per_user=per_user
    )  # fmt: skip
    train, validation = reference(log, per_user=per_user)
    assert all_examples(shards) == train and len(train) > 50
    assert as_set(shards.validation) == validation and len(validation) > 20
    assert len(shards.paths) == -(-600 // rows_per_shard)


def test_the_order_of_files_and_rows_does_not_matter(tmp_path, log, split, write):
    order = np.random.default_rng(1).permutation(600)
    whole = shards_of(tmp_path / "a", [write(tmp_path / "w.parquet", **log)], split, rows_per_shard=200)
    halves = [
        write(tmp_path / f"{name}.parquet", **{column: values[part] for column, values in log.items()})
        for name, part in (("x", order[:250]), ("y", order[250:]))
    ]
    shuffled = shards_of(tmp_path / "b", halves, split, rows_per_shard=200)
    for one, other in zip(whole.paths, shuffled.paths, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert as_set(whole.validation) == as_set(shuffled.validation)


def test_frequency_counts_what_is_trained_on_and_positives_what_there_was(tmp_path, log, split, write):
    path = write(tmp_path / "w.parquet", **log)
    capped = shards_of(tmp_path / "a", [path], split, max_examples_per_user=3)
    counts = np.bincount([item for _, item, _ in reference(log, per_user=3)[0]], minlength=NUM_ITEMS + 5)
    assert np.allclose(capped.frequency[1:], counts[5:] / counts.sum())
    everything = np.bincount([item for _, item, _ in reference(log)[0]], minlength=NUM_ITEMS + 5)
    assert capped.num_positives[1:].tolist() == everything[5:].tolist()


def test_validation_is_a_sample_with_whole_histories(tmp_path, log, split, write):
    path = write(tmp_path / "w.parquet", **log)
    sampled = shards_of(tmp_path / "a", [path], split, max_validation_examples=15, rows_per_shard=100)
    found = as_set(sampled.validation)
    assert found < reference(log)[1] and 10 <= len(found) <= 18


def test_no_watches_give_no_examples(tmp_path, log, split, write):
    path = write(tmp_path / "w.parquet", **{column: values[:0] for column, values in log.items()})
    shards = shards_of(tmp_path / "s", [path], split)
    assert (shards.num_examples, len(shards.validation)) == (0, 0)


def test_memory_does_not_grow_with_the_log(tmp_path, split, write):
    """Four times the users and watches, the same peak: only the shard size counts."""
    rng = np.random.default_rng(0)
    peaks = []
    for rows in (200_000, 800_000):
        user, item, time = rng.integers(0, rows // 50, rows), rng.integers(5, 30, rows), rng.random(rows) * 9 * DAY
        path = write(tmp_path / f"{rows}.parquet", user, item, time)
        del user, item, time
        tracemalloc.start()
        shards = shards_of(tmp_path / f"s{rows}", [path], split, rows_per_shard=50_000, max_validation_examples=100)
        num_examples = sum(len(shards.read(shard)) for shard in range(len(shards.paths)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert num_examples > rows / 6
    assert peaks[1] < 1.3 * peaks[0]


def test_reading_holds_one_batch_of_a_file_at_a_time(tmp_path, split, write, monkeypatch):
    """Arrow's memory is outside Python's: count the rows of every batch that is read."""
    path = write(tmp_path / "w.parquet", np.zeros(200_000), np.full(200_000, 7), np.arange(200_000.0))
    largest = 0
    original = pq.ParquetFile.iter_batches

    def counting(self, *args, **kwargs):
        nonlocal largest
        for batch in original(self, *args, **kwargs):
            largest = max(largest, batch.num_rows)
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counting)
    before = pa.total_allocated_bytes()
    shards_of(tmp_path / "s", [path], split)
    assert 0 < largest <= 65_536 and pa.total_allocated_bytes() - before < 10 << 20
