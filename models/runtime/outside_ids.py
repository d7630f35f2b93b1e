"""Ids of the log and the dense ids that stand for them, looked up both ways."""

from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .arrays import places_of

KINDS = ("user", "item")


class OutsideIds:
    """The ids of users, or of items."""

    def __init__(self, id_map: pa.Table, kind: str, known: np.ndarray) -> None:
        """`id_map` has kind, id and external_id; `known` are the dense ids that the release knows, ascending."""
        rows = id_map.filter(pc.equal(id_map["kind"], kind)).sort_by("id").combine_chunks()
        self._ids, self._names = rows["id"].to_numpy().astype(np.int64), rows["external_id"].combine_chunks()
        self._known = known

    @cached_property
    def _dense(self) -> dict[str, int]:
        """Made at the first question: a second for some millions of ids."""
        known = places_of(self._known, self._ids) >= 0
        names = self._names.filter(pa.array(known)).to_pylist()
        return dict(zip(names, self._ids[known].tolist(), strict=True))

    def dense(self, names: list[str]) -> np.ndarray:
        """int64 `[N]`: -1 for what the release does not know."""
        return np.array([self._dense.get(name, -1) for name in names], dtype=np.int64)

    def names(self, ids: np.ndarray) -> list[str | None]:
        """Of dense ids, those too of whom the log tells and the release knows no more; None for others."""
        if not len(self._ids):
            return [None] * len(ids)
        places = places_of(self._ids, ids)
        return list(self._names.take(pa.array(places, mask=places < 0)).to_pylist())
