"""The four logs of a day as tables: impressions, watches, actions, searches.

Shapes: U users of the audience, A actions, S searches.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.datasets import ACTIONS, IMPRESSIONS, SEARCHES, WATCHES
from models.compressed_rows import offsets_of
from models.world.behaviour import Day
from models.world.catalogue import Catalogue
from models.world.columns import DAY_US, as_table, midnight, named
from models.world.draws import generator, luck
from models.world.following import SeriesProgress
from models.world.pages import SURFACES, VARIANTS, variants
from models.world.sessions import Requests, Shown, Watched, hold
from models.world.vocabulary import ADJECTIVES, DEVICES, FLAVOURS, GENRE_NAMES, NOUNS, PLATFORMS, PLATFORMS_PER_DEVICE
from models.world.watching import POSITIVE_COMPLETION, Viewing, devices_used, pleases, view

EXPERIMENT = "home-personalisation"
ACTION_NAMES = ("browse", "pause", "rate", "like", "share", "complete")
_HOME, _BROWSE, _SEARCH = (SURFACES.index(name) for name in ("home", "browse", "search"))
_PAUSES = 0.25
_LIKES_BY_OPINION = np.array([0, 0, 0, 0, 0.1, 0.3])
_SHARES, _SHARES_DISLIKED = 0.03, 0.003
_COMPLETE = 0.95
_BY_TITLE = 0.7  # searches for a title; the others are for a genre


def day_tables(day: Day, past: np.ndarray, progress: SeriesProgress) -> dict[str, pa.Table]:
    """All events of a day, by dataset; arguments as of `sessions.hold`."""
    rng = generator(day.config.seed, "events", day.day)
    requests, impressions, watched = hold(day, past, progress, rng)
    device = np.zeros(len(day.audience), dtype=np.int64)
    device[day.present] = devices_used(rng, day.audience.device[day.present])
    liked = rng.random(len(watched.user)) < pleases(watched.fond, day.catalogue.series[watched.item] >= 0)
    viewing = view(day.config, rng, liked, day.catalogue.duration_s[watched.item], device[watched.user])
    return {
        "impressions": _impressions(day, requests, impressions, device),
        "watches": _watches(day, watched, viewing, device),
        "actions": _actions(day, requests, watched, viewing, device, rng),
        "searches": _searches(day, requests, impressions, device, rng),
    }


def _ids(day: Day, numbers: np.ndarray) -> np.ndarray:
    """Ids that no other day has."""
    return (np.int64(day.day) << 32) + numbers


def _impressions(day: Day, requests: Requests, impressions: Shown, device: np.ndarray) -> pa.Table:
    of, user = impressions.request, requests.user[impressions.request]
    model = np.floor(luck(day.config.seed, "platform", np.arange(len(device))) * PLATFORMS_PER_DEVICE).astype(np.int64)
    arm = np.where(requests.surface == _HOME, variants(day.config, requests.user), -1)[of]
    columns = {
        "request_id": _ids(day, of),
        "position": impressions.position,
        "user_id": user,
        "item_id": impressions.item,
        "time": (midnight(day.day) + requests.time)[of],
        "surface": named(SURFACES, requests.surface[of]),
        "device_type": named(DEVICES, device[user]),
        "platform": named(PLATFORMS, (device * PLATFORMS_PER_DEVICE + model)[user]),
        "experiment_id": named([EXPERIMENT], np.minimum(arm, 0)),
        "variant": named(VARIANTS, arm),
        "propensity": impressions.propensity,
    }
    return as_table(IMPRESSIONS, columns)


def _watches(day: Day, watched: Watched, viewing: Viewing, device: np.ndarray) -> pa.Table:
    columns = {
        "watch_id": _ids(day, np.arange(len(watched.user))),
        "request_id": pa.array(_ids(day, watched.request), mask=watched.request < 0),
        "user_id": watched.user,
        "item_id": watched.item,
        "time": midnight(day.day) + watched.time,
        "watch_s": viewing.watch_s,
        "completion": viewing.completion,
        "rating": pa.array(viewing.opinion, mask=~viewing.rated),
        "weight": 1 + viewing.completion,
        "positive": viewing.completion >= POSITIVE_COMPLETION,
        "device_type": named(DEVICES, device[watched.user]),
        "bitrate_kbps": viewing.bitrate_kbps,
        "buffering_s": viewing.buffering_s,
        "quality_switches": viewing.quality_switches,
    }
    return as_table(WATCHES, columns)


def _actions(
    day: Day, requests: Requests, watched: Watched, viewing: Viewing, device: np.ndarray, rng: np.random.Generator
) -> pa.Table:
    """The browse pages that people opened, and what they did during and after their watches."""
    browsed = np.flatnonzero(requests.surface == _BROWSE)
    kind, row, time = _reactions(watched, viewing, rng)
    nothing = np.full(len(browsed), -1)
    user = np.concatenate([requests.user[browsed], watched.user[row]])
    item = np.concatenate([nothing, watched.item[row]])
    value = np.concatenate([nothing, np.where(kind == ACTION_NAMES.index("rate"), viewing.opinion[row], -1)])
    kind = np.concatenate([np.zeros_like(browsed), kind])
    time = np.concatenate([requests.time[browsed], time])
    order = np.lexsort((item, kind, user, time))
    columns = {
        "action_id": _ids(day, np.arange(len(order))),
        "user_id": user[order],
        "item_id": pa.array(item[order], mask=item[order] < 0),
        "time": midnight(day.day) + time[order],
        "action": named(ACTION_NAMES, kind[order]),
        "value": pa.array(value[order], mask=value[order] < 0),
        "device_type": named(DEVICES, device[user[order]]),
    }
    return as_table(ACTIONS, columns)


def _reactions(
    watched: Watched, viewing: Viewing, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kind (index of `ACTION_NAMES`), watch and time of each action that goes with a watch, `[A]`."""
    pauses, likes, shares = rng.random((3, len(watched.user)))
    whole = np.ones(len(watched.user))
    done = {
        "pause": (pauses < _PAUSES, pauses / _PAUSES),
        "rate": (viewing.rated, whole),
        "like": (likes < _LIKES_BY_OPINION[viewing.opinion.astype(np.int64)], whole),
        "share": (shares < np.where(viewing.opinion >= 4, _SHARES, _SHARES_DISLIKED), whole),
        "complete": (viewing.completion >= _COMPLETE, whole),
    }
    kind, rows, times = [], [], []
    for name, (which, share_watched) in done.items():
        row = np.flatnonzero(which)
        after_s = viewing.watch_s[row] * share_watched[row]
        kind.append(np.full(len(row), ACTION_NAMES.index(name)))
        rows.append(row)
        # What would come after midnight is done in the day's last moment.
        times.append(np.minimum(watched.time[row] + (after_s * 1e6).astype(np.int64), DAY_US - 1))
    return np.concatenate(kind), np.concatenate(rows), np.concatenate(times)


def _searches(
    day: Day, requests: Requests, impressions: Shown, device: np.ndarray, rng: np.random.Generator
) -> pa.Table:
    """What people typed to get to their search pages: a title, or a genre."""
    rows = np.flatnonzero(requests.surface[impressions.request] == _SEARCH)
    # The first thing clicked on each page, or else the first thing on it, is what they had in mind.
    order = rows[np.lexsort((rows, ~impressions.clicked[rows], impressions.request[rows]))]
    lead = order[np.unique(impressions.request[order], return_index=True)[1]]
    request, item = impressions.request[lead], impressions.item[lead]
    tokens = _query_words(day.catalogue, item, rng.random(len(item)) < _BY_TITLE)
    user = requests.user[request]
    columns = {
        "search_id": _ids(day, np.arange(len(lead))),
        "user_id": user,
        "time": midnight(day.day) + requests.time[request],
        "query": pc.binary_join(tokens, " "),
        "tokens": tokens,
        "clicked_item_id": pa.array(item, mask=~impressions.clicked[lead]),
        "device_type": named(DEVICES, device[user]),
    }
    return as_table(SEARCHES, columns)


def _query_words(catalogue: Catalogue, item: np.ndarray, by_title: np.ndarray) -> pa.ListArray:
    """The two words of each item's title, or its genre; `[S]` lists."""
    nouns = len(ADJECTIVES) + catalogue.words[item, 1]
    genres = len(ADJECTIVES) + len(NOUNS) + catalogue.niche[item] // FLAVOURS
    words = np.column_stack([np.where(by_title, catalogue.words[item, 0], genres), nouns])
    kept = np.column_stack([np.ones(len(item), dtype=bool), by_title])
    offsets = offsets_of(kept.sum(axis=1)).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, named([*ADJECTIVES, *NOUNS, *GENRE_NAMES], words[kept]))
