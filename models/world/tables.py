"""The datasets of a made service: one function each, so that what one is made by decides nothing about the others.

Days are ISO strings.
"""

import numpy as np
import pyarrow as pa

from models.world.behaviour import contains, pair_codes
from models.world.catalogue import existing
from models.world.events import day_tables
from models.world.oracle import Scores, best_lists, from_pages, from_series
from models.world.snapshots import id_map_table, items_table, users_table
from models.world.world import World


def users_of(world: World, day: str) -> pa.Table:
    """Everyone with an account at the end of a day (dataset `users`)."""
    number = world.number(day)
    return users_table(world.audience(number), number)


def items_of(world: World, day: str) -> pa.Table:
    """Everything uploaded by the end of a day (dataset `items`)."""
    number = world.number(day)
    catalogue = world.catalogue(number)
    return items_table(catalogue, existing(catalogue, number))


def id_map_of(world: World, day: str) -> pa.Table:
    """Outside ids of those users and items (dataset `id_map`)."""
    number = world.number(day)
    return id_map_table(world.user_growth.by(number), existing(world.catalogue(number), number))


def events_of(world: World, day: str) -> dict[str, pa.Table]:
    """What happened on a day: datasets `impressions`, `watches`, `actions`, `searches`."""
    number = world.number(day)
    today = world.day(number)
    return day_tables(today, world.past(number), world.progress(number, today.present))


def oracle_of(
    world: World,
    first: str,
    last: str,
    users: np.ndarray,
    items: np.ndarray,
    seen: tuple[np.ndarray, np.ndarray],
    k: int,
) -> pa.Table:
    """The best lists for the judged days `first` to `last` under the planted tastes (dataset `oracle`).

    Args:
        users: ids, ascending, of who gets a list.
        items: ids, ascending, of what may be on it.
        seen: users and items of pairs that may not.
    """
    days = [world.day(n) for n in range(world.number(first), world.number(last) + 1)]
    users, codes = users.astype(np.int64), np.unique(pair_codes(*seen))
    standing = world.progress(days[0].day, users)
    episodes = _allowed(from_series(days, users, standing, k), items, codes)
    return best_lists([*from_pages(days, users, items, codes, k), episodes], k)


def _allowed(scores: Scores, items: np.ndarray, seen: np.ndarray) -> Scores:
    """Scores without those of items that may not be on lists, or not on this user's."""
    kept = np.isin(scores.item, items) & ~contains(seen, pair_codes(scores.user, scores.item))
    return Scores(scores.user[kept], scores.item[kept], scores.score[kept])
