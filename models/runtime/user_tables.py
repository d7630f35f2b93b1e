"""Tables about one user who is not known, or who has watched more since the night."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .arrays import codes_in, vocabulary_of
from .items import TIERS, Items
from .user_tower import SEARCHED


def visitor(history: list[int], attributes: Mapping[str, Any], items: Items, schema: pa.Schema) -> dict[str, pa.Table]:
    """Tables about one unknown user, whose features are those that the window would give for such a history.

    Args:
        attributes: as `known_attributes` gives them back.
    """
    user = {**dict.fromkeys(schema.names), **attributes, "user_id": -1}
    nobody = {name: table.empty_table() for name, table in ABOUT_USERS.items()}
    users = pa.Table.from_pylist([user], schema=schema)
    return having_watched({"users": users, **nobody}, history, items)


def words_by_column(users: pa.Table, items: Items, fields: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Column of `users` that holds text -> what a release can tell apart in it: what some user has, what the query
    tower was trained with (`fields`, see `encode`) and what the filters look at."""
    looked_at = {"subscription_type": TIERS, "region": items.region_names.to_pylist()}
    trained = {field["column"]: field["vocabulary"] for field in fields if field["kind"] == "category"}
    names = [field.name for field in users.schema if pa.types.is_string(field.type)]
    own = {name: vocabulary_of(users[name]).to_pylist() for name in names}
    return {name: sorted({*own[name], *looked_at.get(name, ()), *trained.get(name, ())}) for name in names}


def having_watched(tables: Mapping[str, pa.Table], item_ids: list[int], items: Items) -> dict[str, pa.Table]:
    """Tables about one user who has watched more, oldest first; features are those that the window would give.

    New watches count as positive ones of today, of mean completion. Genres beyond the five that a row keeps are lost.
    """
    if not item_ids:
        return dict(tables)
    user_id = tables["users"]["user_id"][0].as_py()
    before = [{n: v for n, v in row.items() if v is not None} for row in tables["user_features"].to_pylist()]
    past: dict[str, Any] = {**dict.fromkeys(ABOUT_USERS["user_features"].names, 0), **(before[0] if before else {})}
    watches, new = past["num_watches"], len(item_ids)
    genres = items.genres[item_ids].sum(axis=0)
    codes = codes_in(pa.array(past["top_genres"] or [], pa.string()), items.genre_names)
    shares = np.array(past["top_genre_shares"] or [])
    genres[codes[codes >= 0]] += np.rint(shares * watches).astype(np.int64)[codes >= 0]
    top = [int(g) for g in np.argsort(-genres, kind="stable")[:5] if genres[g] > 0]
    completion = items.counts["mean_completion"]
    features = {
        "user_id": user_id, "num_watches": watches + new, "num_positives": past["num_positives"] + new,
        "num_impressions": past["num_impressions"], "days_active": past["days_active"] + 1, "recency_days": 0.0,
        "watch_s": past["watch_s"] + float((items.duration_s * completion)[item_ids].sum()),
        "mean_completion": (past["mean_completion"] * watches + float(completion[-1]) * new) / (watches + new),
        "top_genres": [items.genre_names[g].as_py() for g in top],
        "top_genre_shares": [float(genres[g] / (watches + new)) for g in top],
    }  # fmt: skip
    watched, seen, words = (pc.list_flatten(tables["histories"][n]).to_pylist() for n in ("item_ids", "seen", SEARCHED))
    history = {"user_id": user_id, "item_ids": [*watched, *item_ids], "seen": sorted({*seen, *item_ids})}
    history[SEARCHED] = words
    rows = {"histories": history, "user_features": features}
    return {**tables, **{n: pa.Table.from_pylist([row], schema=ABOUT_USERS[n]) for n, row in rows.items()}}


class AboutUsers:
    """The tables of `ABOUT_USERS`, kept so that the rows of one user are found at once."""

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        self._tables = {name: _by_user(tables[name].select(schema.names)) for name, schema in ABOUT_USERS.items()}
        self._ids = {name: table["user_id"].to_numpy() for name, table in self._tables.items()}

    def rows(self, user_id: int) -> dict[str, pa.Table]:
        """The user's own rows of each table."""
        found = {}
        for name, table in self._tables.items():
            first, end = np.searchsorted(self._ids[name], [user_id, user_id + 1])
            found[name] = table.slice(first, end - first)
        return found


def _by_user(table: pa.Table) -> pa.Table:
    """Rows in the order of users; most tables come in it."""
    ids = table["user_id"].to_numpy()
    ordered = table if (ids[1:] >= ids[:-1]).all() else table.take(np.argsort(ids, kind="stable"))
    return ordered.combine_chunks()


ABOUT_USERS = {
    "histories": pa.schema(
        [("user_id", pa.int32()), (SEARCHED, pa.list_(pa.string()))]
        + [(name, pa.list_(pa.int32())) for name in ("item_ids", "seen")]
    ),
    "user_features": pa.schema(
        [(n, pa.int32()) for n in ("user_id", "num_watches", "num_positives", "num_impressions", "days_active")]
        + [(name, pa.float32()) for name in ("watch_s", "mean_completion", "recency_days")]
        + [("top_genres", pa.list_(pa.string())), ("top_genre_shares", pa.list_(pa.float32()))]
    ),
    "exposures": pa.schema([(name, pa.int32()) for name in ("user_id", "item_id", "num_shown", "num_watched")]),
}
