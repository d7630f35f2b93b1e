"""The chapter with people: a few users with what they watched, what they are offered, from where and why."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.pages.data import Listed, Person, Section

_HISTORY_SHOWN = 6
_USER_COLUMNS = ("age", "gender", "region", "lifecycle", "engagement_tier", "subscription_type", "primary_device")


def people_section(
    recommendations: pa.Table,
    histories: pa.Table,
    users: pa.Table,
    items: pa.Table,
    id_map: pa.Table,
    judged: Iterable[pa.Table],
    num_users: int,
    num_places: int,
) -> Section:
    """Lists of a few users, spread from those without a history to those with the longest.

    Args:
        id_map: outside ids, by which people are known to those who read.
        judged: `user_id`, `item_id`, `positive` of the judged days, to mark what was liked in the end.
    """
    sizes = dict(
        zip(histories["user_id"].to_pylist(), pc.list_value_length(histories["item_ids"]).to_pylist(), strict=True)
    )
    chosen = _spread(pc.unique(recommendations["user_id"]).to_numpy(), sizes, num_users)
    wanted = pa.array(chosen, pa.int32())
    past = {r["user_id"]: r["item_ids"] for r in _of(histories.select(["user_id", "item_ids"]), wanted)}
    offers = _of(recommendations, wanted)
    attributes = {r["user_id"]: r for r in _of(users.select(["user_id", *_USER_COLUMNS]), wanted)}
    liked = {
        (r["user_id"], r["item_id"])
        for day in judged
        for r in _of(day, wanted)
        if r["positive"]
    }  # fmt: skip
    shown_items = {i for ids in past.values() for i in ids[-_HISTORY_SHOWN:]} | {r["item_id"] for r in offers}
    titles = _titles(items, shown_items)
    of_users = id_map.filter((pc.field("kind") == "user") & pc.field("id").isin(wanted))
    names = {r["id"]: r["external_id"] for r in of_users.to_pylist()}
    people = tuple(
        Person(
            name=f"user {names.get(user, user)}",
            about=_about(attributes.get(user, {}), sizes.get(user, 0)),
            history=tuple(_listed(titles, i) for i in reversed(past.get(user, [])[-_HISTORY_SHOWN:])),
            offered=_offered(offers, user, titles, liked, num_places),
        )
        for user in chosen
    )
    lead = (
        "A few people, from those without a history to those with the longest: what they liked last, and what they are "
        "offered, from which source and for which reason. A tick marks what they went on to like on the judged days."
    )
    return Section("people", "People", "People", lead, people=people)


def _spread(user_ids: np.ndarray, sizes: Mapping[int, int], num_users: int) -> list[int]:
    """Users at equal distances along the length of the history; ties go by id."""
    order = sorted(user_ids.tolist(), key=lambda u: (sizes.get(u, 0), u))
    places = np.unique(np.linspace(0, len(order) - 1, min(num_users, len(order))).astype(np.int64))
    return [order[p] for p in places]


def _of(table: pa.Table, user_ids: pa.Array) -> list[dict[str, Any]]:
    return list(table.filter(pc.is_in(table["user_id"], value_set=user_ids)).to_pylist())


def _titles(items: pa.Table, item_ids: set[int]) -> dict[int, dict[str, Any]]:
    columns = ["item_id", "title", "genres", "content_type", "uploaded_at"]
    wanted = items.select(columns).filter(pc.is_in(items["item_id"], value_set=pa.array(sorted(item_ids), pa.int32())))
    return {r["item_id"]: r for r in wanted.to_pylist()}


def _about(user: Mapping[str, Any], history: int) -> str:
    age = f"{user['age']} years" if user.get("age") is not None else None
    others = [str(user[c]).replace("_", " ") for c in _USER_COLUMNS[1:] if user.get(c) is not None]
    words = [w for w in (age, *others) if w]
    return ", ".join([*words, f"{history} in history" if history else "no history"])


def _listed(titles: Mapping[int, Mapping[str, Any]], item_id: int, **more: Any) -> Listed:
    item = titles.get(item_id, {})
    about = [*(item.get("genres") or [])[:2], item.get("content_type")]
    return Listed(item.get("title") or f"item {item_id}", ", ".join(str(a) for a in about if a), **more)


def _offered(
    offers: Sequence[Mapping[str, Any]],
    user: int,
    titles: Mapping[int, Mapping[str, Any]],
    liked: set[tuple[int, int]],
    num_places: int,
) -> tuple[Listed, ...]:
    ours = sorted((r for r in offers if r["user_id"] == user), key=lambda r: int(r["rank"]))
    return tuple(
        _listed(titles, r["item_id"], source=r["source"], reason=r["reason"], watched=(user, r["item_id"]) in liked)
        for r in ours[:num_places]
    )
