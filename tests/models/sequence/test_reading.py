import zlib

import numpy as np
import pyarrow as pa

from expectations.datasets import SENTENCES
from models.sequence.reading import everybody, gaps, hashed, read_sentences
from models.sequence.sentences import PLAY, SEARCH


def _table() -> pa.Table:
    rows = [
        {
            "user_id": 4, "times": [0, 60, 4000], "actions": ["play", "search", "play"], "item_ids": [20, -1, 99],
            "positives": [True, False, True], "watch_shares": [0.5, -1.0, -1.0], "device_types": ["tv", "", "web"],
            "queries": ["", "dark film", ""],
        },
        {
            "user_id": 7, "times": [10], "actions": ["play"], "item_ids": [10], "positives": [False],
            "watch_shares": [-1.0], "device_types": ["car"], "queries": [""],
        },
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SENTENCES.schema)


def test_tokens_become_numbers_and_unknown_things_zero():
    read = read_sentences(_table(), np.array([10, 20]))
    assert read.offsets.tolist() == [0, 3, 4]
    assert read.item.tolist() == [2, 0, 0, 1]
    assert read.action.tolist() == [PLAY, SEARCH, PLAY, PLAY]
    assert read.positive.tolist() == [True, False, True, False]
    assert read.device is not None and read.device.tolist() == [1, 0, 4, 0]
    assert read.share is not None and np.isnan(read.share[1:]).all() and read.share[0] == 0.5
    words = read.columns(np.arange(4))["words"]
    assert words[1, :2].tolist() == hashed("dark film") and not words[[0, 2, 3]].any()


def test_a_log_that_knows_only_plays_has_no_other_inputs():
    table = _table().filter(pa.array([False, True]))
    read = read_sentences(table, np.array([10]))
    assert read.device is None and read.gap is None and read.share is None and read.query is None
    assert set(read.columns(np.array([0]))) == {"item", "action"}


def test_gaps_are_logarithmic_and_start_anew_with_every_member():
    times = np.array([0, 30, 90, 3690, 10**9, 0])
    assert gaps(times, np.array([0, 5, 6])).tolist() == [0, 1, 2, 6, 19, 0]


def test_hashes_do_not_depend_on_the_process():
    assert hashed("dark film") == [1 + zlib.crc32(word) % 4095 for word in (b"dark", b"film")]
    assert hashed("dark")[0] == hashed("dark film")[0] != hashed("film")[0]


def test_everybody_has_a_row_and_nobody_else():
    table = everybody(_table(), np.array([1, 4, 9]))
    assert table["user_id"].to_pylist() == [1, 4, 9]
    assert [len(times) for times in table["times"].to_pylist()] == [0, 3, 0]
    assert table.schema.equals(SENTENCES.schema)
