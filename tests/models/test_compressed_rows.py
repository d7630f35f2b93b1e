"""Compressed rows, beside plain lists of lists."""

from itertools import pairwise

import numpy as np
import pytest

from models.compressed_rows import CompressedRows, offsets_of


@pytest.fixture(params=[[], [[]], [[3, 1], [], [4, 1, 5], []]], ids=["no rows", "an empty row", "rows"])
def lists(request):
    return request.param


@pytest.fixture
def rows(lists):
    return CompressedRows(offsets_of(np.array([len(values) for values in lists], dtype=np.int64)))


@pytest.fixture
def values(lists):
    return np.array([value for values in lists for value in values], dtype=np.int64)


def listed(offsets, values):
    return [values[a:b].tolist() for a, b in pairwise(offsets)]


def test_each_value_knows_its_row(lists, rows, values):
    assert len(rows) == len(lists) and rows.sizes.tolist() == [len(v) for v in lists]
    assert rows.rows.tolist() == [row for row, v in enumerate(lists) for _ in v]
    assert listed(rows.offsets, values) == lists


def test_rows_are_taken_in_any_order_and_more_than_once(lists, rows, values):
    wanted = np.array([*range(len(lists))][::-1] * 2, dtype=np.int64)
    offsets, places = rows.of_rows(wanted)
    assert listed(offsets, values[places]) == [lists[row] for row in wanted]
    assert offsets.dtype == np.int64


def test_marked_values_stay_in_their_rows(lists, rows, values):
    kept = values != 1
    assert listed(rows.of_values(kept), values[kept]) == [[v for v in row if v != 1] for row in lists]
