"""Who can be asked about: users to pick from, one at random, what is said of them."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from explorer.data import Release

MOST_LISTED = 1000
"""Users that a list to pick from holds; any other can be typed in."""
_SHOWN = ("age", "gender", "region", "subscription_type", "lifecycle", "engagement_tier", "primary_device")


def choices(release: Release) -> list[tuple[str, str]]:
    """Users to pick from, as (line, outside id): all, or evenly many of all lengths of history."""
    ids, users, watched = release.bundle.user_ids, release.bundle.users, release.bundle.num_watched
    names = {i: name for name, i in release.users.items()}
    rows = np.arange(len(ids))
    if len(rows) > MOST_LISTED:
        rows = np.sort(np.argsort(-watched, kind="stable")[:: len(rows) // MOST_LISTED + 1])
    table = users.select([c for c in _SHOWN[:3] if c in users.column_names]).take(rows)
    lines = []
    for row, about in zip(rows.tolist(), table.to_pylist(), strict=True):
        name = names.get(int(ids[row]))
        if name is not None:
            words = ", ".join(str(v) for v in about.values() if v is not None)
            lines.append((f"{name} · {words} · {watched[row]} watched", name))
    return lines


def anyone(release: Release, seed: int | None = None) -> str:
    """The outside id of a random user, one with a history if there are such."""
    ids, generator = release.bundle.user_ids, np.random.default_rng(seed)
    rows = np.flatnonzero(release.bundle.num_watched > 0)
    row = int(generator.choice(rows if len(rows) else len(ids)))
    return next(name for name, i in release.users.items() if i == int(ids[row]))


def about(release: Release, name: str) -> list[str]:
    """What is known of a user, as short words; nothing of one that the release does not know."""
    user_id = release.users.get(name)
    if user_id is None:
        return []
    known = release.user(user_id)
    words = [f"{n.replace('_', ' ')} {known[n]}" for n in _SHOWN if known.get(n) is not None]
    return [*words, f"since {known['signup_date']}"] if known.get("signup_date") else words


def values(release: Release, column: str) -> list[str]:
    """What a column of text about users may say."""
    table = release.bundle.users
    return sorted({str(v) for v in table[column].to_pylist() if v is not None}) if column in table.column_names else []


def moment(time_s: int) -> str:
    """A time as people read it; empty when it is not known."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%d %b, %H:%M") if time_s else ""


def genres_line(release: Release, item_id: int) -> str:
    """Genres of an item in a line."""
    return ", ".join(str(g) for g in release.genres.get(item_id, []))


def attributes_of(names: tuple[str, ...], given: tuple[Any, ...]) -> dict[str, Any]:
    """What was filled in; numbers of a form are whole here, and 0 says nothing."""
    pairs = zip(names, given, strict=True)
    return {n: int(v) if isinstance(v, int | float) else v for n, v in pairs if v}
