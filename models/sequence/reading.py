"""The table `sentences` as numbers: titles by row, devices and gaps as categories, words hashed.

Shapes: U members, N tokens, W words of a search.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.compressed_rows import offsets_of
from models.interactions import Ints
from models.runtime.arrays import places_of
from models.sequence.sentences import ACTIONS, SEARCH, Sentences

DEVICES = ("tv", "mobile", "tablet", "web")
NUM_GAPS = 20
WORDS = 6
"""Words of a search that are read."""
NUM_BUCKETS = 1 << 12
"""Words are hashed into so many buckets, so that new ones need no new vocabulary (Weinberger et al. 2009)."""


def read_sentences(table: pa.Table, item_ids: Ints) -> Sentences:
    """Sentences of the members of `table`, in its order.

    Args:
        table: dataset `sentences`.
        item_ids: ids of the catalogue, ascending; tokens about other items say no title.
    """
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    lengths = pc.list_value_length(columns["actions"]).to_numpy(zero_copy_only=False)
    offsets = offsets_of(lengths)
    flat = {name: pc.list_flatten(column) for name, column in columns.items() if name != "user_id"}
    times = flat["times"].to_numpy()
    shares = flat["watch_shares"].to_numpy()
    return Sentences(
        offsets=offsets,
        item=rows_of(flat["item_ids"].to_numpy(), item_ids),
        action=_category(flat["actions"], ACTIONS),
        positive=flat["positives"].to_numpy(zero_copy_only=False),
        device=_if_any(_category(flat["device_types"], DEVICES)),
        gap=_if_any(gaps(times, offsets)),
        share=np.where(shares < 0, np.nan, shares) if (shares >= 0).any() else None,
        **_searches(flat["queries"], _category(flat["actions"], ACTIONS) == SEARCH),
    )


def rows_of(ids: Ints, catalogue: Ints) -> Ints:
    """1 + place of each id in the ascending catalogue, 0 where it is not there."""
    return places_of(catalogue, ids).astype(np.int64) + 1


def gaps(times: Ints, offsets: Ints) -> Ints:
    """Time since the token before, as 1 + log2 of minutes, rounded down; 0 for a first token. int64 `[N]`."""
    since = np.diff(times, prepend=times[:1])
    bucket = 1 + np.minimum(np.log2(1 + np.maximum(since, 0) / 60).astype(np.int64), NUM_GAPS - 2)
    is_first = np.zeros(len(times), dtype=bool)
    is_first[offsets[:-1][np.diff(offsets) > 0]] = True
    return np.where(is_first, 0, bucket)


def hashed(text: str) -> list[int]:
    """Buckets of the words of a search, from 1."""
    return [1 + zlib.crc32(word.encode()) % (NUM_BUCKETS - 1) for word in text.split()[:WORDS]]


def _searches(queries: pa.Array, is_search: np.ndarray) -> dict[str, Ints]:
    """`query` and `words` of `Sentences`, where anybody searched."""
    if not is_search.any():
        return {}
    encoded = pc.dictionary_encode(queries)
    words = np.zeros((len(encoded.dictionary) + 1, WORDS), dtype=np.int64)
    for row, text in enumerate(encoded.dictionary.to_pylist(), start=1):
        buckets = hashed(text)
        words[row, : len(buckets)] = buckets
    return {"query": np.where(is_search, encoded.indices.to_numpy() + 1, 0), "words": words}


def _category(values: pa.Array, vocabulary: Sequence[str]) -> Ints:
    found = pc.index_in(values, value_set=pa.array(vocabulary, type=values.type))
    return pc.add(found.cast(pa.int64()), 1).fill_null(0).to_numpy(zero_copy_only=False)


def _if_any(values: Ints) -> Ints | None:
    return values if values.any() else None


def everybody(table: pa.Table, user_ids: Ints) -> pa.Table:
    """One row of `sentences` for each of ascending `user_ids`, empty for those who did nothing; others are left out."""
    places = np.searchsorted(ids := np.sort(table["user_id"].to_numpy()), user_ids)
    known = np.append(ids, -1)[places] == user_ids
    silent: dict[str, list[Any]] = {f.name: [[]] * int((~known).sum()) for f in table.schema if f.name != "user_id"}
    nobody = pa.table({"user_id": user_ids[~known], **silent}).select(table.column_names).cast(table.schema)
    some = table.filter(pc.is_in(table["user_id"], pa.array(user_ids, table.schema.field("user_id").type)))
    return pa.concat_tables([some, nobody]).sort_by("user_id")
