"""Arrow columns as arrays, and two forms that much else is made of: lists of ids, numbers about pairs of ids.

Shapes, here and in every module beside: U users, N rows, C candidates a row, I items, d vector size, F features, H
history length. Item ids are dense, so arrays about items are indexed by id; each has one spare row at the end, which
id -1 ("no item", the padding everywhere) reads.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BLOCK = 1024  # rows a model or a gather sees at once
TINY = 1e-9  # smallest score or probability whose logarithm is taken


def floats(values: pa.ChunkedArray, missing: float = 0.0) -> np.ndarray:
    """float64 `[N]`; nulls and NaN are `missing`."""
    numbers = values.cast(pa.float64()).to_numpy()
    return np.where(np.isnan(numbers), missing, numbers)


def seconds(times: pa.ChunkedArray) -> np.ndarray:
    """float64 `[N]`: seconds since 1970 in UTC, NaN for null."""
    return floats(times.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()), np.nan) / 1e6


def codes_in(values: pa.ChunkedArray | pa.Array, vocabulary: pa.Array) -> np.ndarray:
    """int64 `[N]`: the place of each value in the vocabulary; -1 for null and for others."""
    return pc.index_in(values, value_set=vocabulary.cast(values.type)).fill_null(-1).to_numpy().astype(np.int64)


def vocabulary_of(values: pa.ChunkedArray) -> pa.Array:
    """The distinct values in order, without null."""
    return pc.unique(values.drop_null()).sort()


def matrix(lists: pa.ChunkedArray) -> np.ndarray:
    """Lists of one length as float32 `[N, length]`."""
    return pc.list_flatten(lists.combine_chunks()).to_numpy().astype(np.float32).reshape(len(lists), -1)


def vector_table(key: str, ids: np.ndarray, vectors: np.ndarray) -> pa.Table:
    """Rows of (`key`, vector), of ids `[N]` and vectors `[N, d]`."""
    offsets = np.arange(len(ids) + 1, dtype=np.int32) * vectors.shape[1]
    flat = np.ascontiguousarray(vectors, dtype=np.float32).ravel()
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat))
    return pa.table({key: pa.array(ids, pa.int32()), "vector": lists})


def places_of(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where ascending `ids` have each of the wanted ones; -1 where they do not."""
    places = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[places] == wanted, places, -1)


class Ragged:
    """One list of item ids a row: the values of row r are `values[offsets[r]:offsets[r + 1]]`."""

    def __init__(self, lists: pa.ChunkedArray, rows: np.ndarray, num_rows: int, size: int = 2**31) -> None:
        """`lists[i]` belongs to `rows[i]`; a row of -1 is dropped, rows without a list stay empty.

        Values from `size` on become -1.
        """
        order = np.argsort(rows, kind="stable")[np.count_nonzero(rows < 0) :]
        ordered = lists.combine_chunks().take(pa.array(order))
        lengths = np.zeros(num_rows + 1, dtype=np.int64)
        lengths[rows[order] + 1] = pc.list_value_length(ordered).fill_null(0).to_numpy()
        self.offsets = np.cumsum(lengths)
        values = pc.list_flatten(ordered).to_numpy()
        self._padded = np.append(np.where(values < size, values, -1), -1).astype(np.int64)
        self.values = self._padded[:-1]

    def rows(self) -> np.ndarray:
        """The row of every value."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def last(self, rows: np.ndarray, length: int) -> np.ndarray:
        """int64 `[N, length]`: the last values of each row, newest last, padded with -1 on the left."""
        places = self.offsets[rows + 1][:, None] + np.arange(-length, 0)
        found = places >= self.offsets[rows][:, None]
        return self._padded[np.where(found, places, -1)]


class PairTable:
    """Numbers about (row, column) pairs, found many at a time by binary search; 0 where there are none."""

    def __init__(self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, width: int) -> None:
        self.width = width + 1  # column -1, the padding, gets a slot of its own that nothing is stored in
        keys = self._key(rows, columns)
        order = np.argsort(keys, kind="stable")
        self.keys = np.append(keys[order], np.iinfo(np.int64).max)
        self.values = np.concatenate([values[order], np.zeros_like(values, shape=(1, *values.shape[1:]))])

    @classmethod
    def counts(cls, rows: np.ndarray, columns: np.ndarray, width: int) -> "PairTable":
        """How often each pair occurs; pairs with column -1 do not count."""
        keys, counts = np.unique(rows[columns >= 0] * width + columns[columns >= 0], return_counts=True)
        return cls(keys // width, keys % width, counts.astype(np.float32), width)

    def _key(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return rows.astype(np.int64) * self.width + columns + 1

    def get(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The values of pairs, in the shape that `rows` and `columns` have together."""
        keys = self._key(rows, columns)
        places = np.searchsorted(self.keys, keys)
        return self.values[np.where(self.keys[places] == keys, places, -1)]
