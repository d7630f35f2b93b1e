"""Similarity of items by what they are: TF-IDF (Salton and Buckley 1988) over terms of all descriptive columns.

It knows an item from its first minute, before anybody has watched it.

Shapes: I items, B items of a block, T terms, K neighbours.
"""

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from expectations.datasets import CONTENT_SIMILARITY
from models.content_config import ContentConfig

_WORD = re.compile(r"\w{2,}")
_WHOLE = ("series_id", "creator_id", "content_type", "language")
_BLOCK = 256
_TIE = 1e-7  # cosines closer than this are equal: sums of floats in another order differ by less


def content_similarity(items: pa.Table, config: ContentConfig) -> pa.Table:
    """The nearest items of each item: a table of the dataset `content_similarity`.

    Among equally near ones the latest upload comes first: what is new has no other way in.
    """
    newest = items.append_column("age", _age(items)).sort_by([("age", "ascending"), ("item_id", "ascending")])
    vectors = tfidf(newest, config)
    parts = list(_neighbours(vectors, config)) if vectors.shape[1] else []
    if not parts:
        return CONTENT_SIMILARITY.schema.empty_table()
    rows, neighbours, scores, ranks = (np.concatenate(column) for column in zip(*parts, strict=True))
    ids = newest["item_id"].to_numpy()
    columns = {"item_id": ids[rows], "neighbour_id": ids[neighbours], "score": scores, "rank": ranks}
    return pa.table(columns).cast(CONTENT_SIMILARITY.schema).sort_by([("item_id", "ascending"), ("rank", "ascending")])


def _age(items: pa.Table) -> pa.Array:
    """Larger for earlier uploads; items without a date are the oldest."""
    times = items["uploaded_at"].cast(pa.int64()).fill_null(0).to_numpy()
    return pa.array(-times)


def tfidf(items: pa.Table, config: ContentConfig) -> csr_matrix:
    """Unit rows `[I, T]`; no columns where the catalogue describes nothing. A term of a single item says nothing."""
    documents = list(terms(items))
    vectorizer = TfidfVectorizer(
        analyzer=lambda document: document,
        sublinear_tf=True,
        min_df=2,
        max_df=max(2, int(config.max_item_share * len(documents))),
    )
    try:
        return vectorizer.fit_transform(documents)
    except ValueError:  # scikit-learn's word for an empty vocabulary
        return csr_matrix((len(documents), 0))


def terms(items: pa.Table) -> Iterator[list[str]]:
    """What each item is made of: `genre=drama`, `creator_id=7`, words of title and description, ..."""
    columns = ("title", "description", "genres", *_WHOLE)
    for row in items.select(columns).to_pylist():
        found = [f"genre={genre}" for genre in row["genres"] or ()]
        found += [f"{name}={row[name]}" for name in _WHOLE if row[name] is not None]
        found += _WORD.findall(f"{row['title'] or ''} {row['description'] or ''}".lower())
        yield found


def _neighbours(vectors: csr_matrix, config: ContentConfig) -> Iterator[tuple[np.ndarray, ...]]:
    """Rows, neighbours, cosines and ranks, block by block, so that memory does not grow with the catalogue squared."""
    num_items = vectors.shape[0]
    k = min(config.num_neighbours, num_items - 1)
    tie_break = np.arange(num_items) * (_TIE / num_items)
    transposed = vectors.T.tocsr()
    for start in range(0, num_items if k > 0 else 0, _BLOCK):
        cosines = (vectors[start : start + _BLOCK] @ transposed).toarray()
        block = np.arange(len(cosines))
        cosines[block, start + block] = -1.0  # no item is its own neighbour
        keys = np.round(cosines / _TIE) * _TIE - tie_break
        best = np.argpartition(-keys, k - 1, axis=1)[:, :k]
        best = np.take_along_axis(best, np.argsort(-np.take_along_axis(keys, best, axis=1), axis=1), axis=1)
        scores = np.take_along_axis(cosines, best, axis=1)
        row, rank = np.nonzero(scores >= max(config.min_similarity, _TIE))
        yield start + row, best[row, rank], scores[row, rank], rank + 1
