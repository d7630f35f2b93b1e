"""From dense ids back to those of people's own systems, by the `id_map` of the same day or a later one."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_WHOSE = (
    (re.compile(r"(\w+_)?user_ids?"), "user"),
    (re.compile(r"(\w+_)?item_ids?|neighbour_id"), "item"),
)


def kind_of(column: str) -> str | None:
    """`user` or `item` if a column of any dataset holds dense ids of such, alone or in lists; else None."""
    if column.startswith("external_"):
        return None
    return next((kind for pattern, kind in _WHOSE if pattern.fullmatch(column)), None)


class OutsideIds:
    """The outside id of every dense id."""

    def __init__(self, id_map: pa.Table) -> None:
        """Made from the dataset `id_map`."""
        self._by_dense = {kind: _by_dense(id_map.filter(pc.equal(id_map["kind"], kind))) for kind in ("user", "item")}

    def of(self, kind: str, dense: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """Outside ids for dense ones, or lists for lists; null where the dense id is null, -1 or not in the map."""
        if isinstance(dense, pa.ChunkedArray):
            return pa.chunked_array([self.of(kind, chunk) for chunk in dense.chunks], _outside(dense.type))
        if pa.types.is_list(dense.type):
            offsets = pa.array(dense.offsets.to_numpy())  # of its own: Arrow takes no mask with a slice of others
            return pa.ListArray.from_arrays(offsets, self.of(kind, dense.values), mask=dense.is_null())
        known = self._by_dense[kind]
        within = pc.and_(pc.greater_equal(dense, 0), pc.less(dense, len(known)))
        return known.take(pc.if_else(within, dense, pa.scalar(None, dense.type)))

    def beside(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows with `external_<column>` for each column of dense ids, after the others."""
        for name in rows.schema.names:
            if kind := kind_of(name):
                rows = rows.append_column(f"external_{name}", self.of(kind, rows[name]))
        return rows

    def instead(self, rows: pa.Table) -> pa.Table:
        """The rows with `external_<column>` in the place of each column of dense ids."""
        columns = {}
        for name in rows.column_names:
            kind = kind_of(name)
            outside = f"external_{name}" if kind else name
            if kind and outside not in rows.column_names:
                columns[outside] = self.of(kind, rows[name])
            elif outside not in columns:
                columns[outside] = rows[outside]
        return pa.table(columns)


def _outside(dense: pa.DataType) -> pa.DataType:
    return pa.list_(pa.string()) if pa.types.is_list(dense) else pa.string()


def _by_dense(known: pa.Table) -> pa.Array:
    """`[N]` outside ids with each at the place of its dense id; null at places without one."""
    ids = known["id"].to_numpy()
    places = np.full(int(ids.max()) + 1 if len(ids) else 0, -1)
    places[ids] = np.arange(len(ids))
    return known["external_id"].combine_chunks().take(pa.array(places, mask=places < 0))
