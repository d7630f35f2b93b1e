"""Users, items and ids of the made service as tables, as they are known on a day."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.datasets import ID_MAP, ITEMS, USERS
from models.compressed_rows import offsets_of
from models.world.audience import ENGAGEMENT_TIERS, LIFECYCLES, Audience, engagement, lifecycle
from models.world.catalogue import EVERYWHERE, NEVER, Catalogue
from models.world.columns import as_table, dates, midnight, named
from models.world.vocabulary import (
    ADJECTIVES,
    CONTENT_TYPES,
    DEVICES,
    EPISODE,
    FLAVOURS,
    GENDERS,
    GENRE_NAMES,
    LANGUAGES,
    MATURITY_RATINGS,
    MOODS,
    NOUNS,
    PLACES,
    REGIONS,
    SECONDARY,
    TIERS,
)


def users_table(audience: Audience, day: int) -> pa.Table:
    """Everyone with an account at the end of a day, in dataset `users`."""
    users = np.arange(np.searchsorted(audience.signup, day, side="right"))
    columns = {
        "user_id": users,
        "age": audience.age[users],
        "gender": named(GENDERS, audience.gender[users]),
        "region": named(REGIONS, audience.region[users]),
        "lifecycle": named(LIFECYCLES, lifecycle(audience, day, users)),
        "engagement_tier": named(ENGAGEMENT_TIERS, engagement(audience, day, users)),
        "subscription_type": named(TIERS, audience.tier[users]),
        "primary_device": named(DEVICES, audience.device[users]),
        "signup_date": dates(audience.signup[users]),
    }
    return as_table(USERS, columns)


def items_table(catalogue: Catalogue, count: int) -> pa.Table:
    """The first `count` items, in dataset `items`."""
    part = Catalogue(**{name: column[:count] for name, column in vars(catalogue).items()})
    serial = part.content_type == EPISODE
    columns = {
        "item_id": np.arange(count),
        "title": titles(part),
        "genres": _genres(part),
        "content_type": named(CONTENT_TYPES, part.content_type),
        "series_id": pa.array(part.series, mask=~serial),
        "season": pa.array(part.season, mask=~serial),
        "episode": pa.array(part.episode, mask=~serial),
        "duration_s": part.duration_s,
        "language": named(LANGUAGES, part.language),
        "maturity_rating": named(MATURITY_RATINGS, part.maturity),
        "content_tier": named(TIERS, part.tier),
        "available_regions": _region_lists(part.regions),
        "creator_id": part.studio,
        "uploaded_at": midnight(part.uploaded),
        "available_until": pa.array(midnight(part.until), mask=part.until == NEVER),
        "description": _descriptions(part),
        "embedding": pa.nulls(count, pa.list_(pa.float32())),
    }
    return as_table(ITEMS, columns)


def id_map_table(num_users: int, num_items: int) -> pa.Table:
    """Outside ids, which tell nothing of the order of arrival, in dataset `id_map`."""
    kinds = [("user", "u", num_users), ("item", "t", num_items)]
    columns = {
        "kind": pa.concat_arrays([pa.repeat(kind, size) for kind, _, size in kinds]),
        "id": np.concatenate([np.arange(size) for _, _, size in kinds]),
        # An odd factor permutes the integers below 2**32, so no two ids meet.
        "external_id": [f"{letter}{n * 2654435761 % 2**32:08x}" for _, letter, size in kinds for n in range(size)],
    }
    return as_table(ID_MAP, columns)


def titles(catalogue: Catalogue) -> pa.Array:
    """Such as `The Golden Alibi` or, in a series, `Sunken Orbit S1E3`."""
    adjective, noun = (pc.utf8_capitalize(words) for words in title_words(catalogue))
    plain = pc.binary_join_element_wise(adjective, noun, " ")
    numbers = (pa.array(column).cast(pa.string()) for column in (catalogue.season, catalogue.episode))
    season, episode = numbers
    numbered = pc.binary_join_element_wise(plain, pc.binary_join_element_wise("S", season, "E", episode, ""), " ")
    return pc.if_else(
        pa.array(catalogue.content_type == EPISODE), numbered, pc.binary_join_element_wise("The", plain, " ")
    )


def title_words(catalogue: Catalogue) -> tuple[pa.Array, pa.Array]:
    """The lower-case adjective and noun of each title."""
    return named(ADJECTIVES, catalogue.words[:, 0]), named(NOUNS, catalogue.words[:, 1])


def _genres(catalogue: Catalogue) -> pa.Array:
    own, lean = catalogue.niche // FLAVOURS, SECONDARY[catalogue.niche]
    pairs = np.column_stack([own, lean])
    kept = np.column_stack([np.ones(len(own), dtype=bool), catalogue.tells_lean])
    offsets = offsets_of(kept.sum(axis=1)).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, named(GENRE_NAMES, pairs[kept]))


def _region_lists(regions: np.ndarray) -> pa.Array:
    """Names of the regions with rights; null where these are all."""
    held = (regions[:, None] >> np.arange(len(REGIONS))) & 1 == 1
    held[regions == EVERYWHERE] = False
    offsets = offsets_of(held.sum(axis=1)).astype(np.int32)
    names = named(REGIONS, np.nonzero(held)[1])
    return pa.ListArray.from_arrays(offsets, names, mask=pa.array(regions == EVERYWHERE))


def _descriptions(catalogue: Catalogue) -> pa.Array:
    """A sentence that tells the genre, some of its words, a place and a mood."""
    own, lean = catalogue.niche // FLAVOURS, SECONDARY[catalogue.niche]
    second, third = (named(NOUNS, catalogue.words[:, n]) for n in (2, 3))
    place, mood = named(PLACES, catalogue.words[:, 4]), named(MOODS, catalogue.words[:, 5])
    parts = [
        pc.utf8_capitalize(mood),
        named(GENRE_NAMES, own),
        "story with a touch of",
        named(GENRE_NAMES, lean),
        "about the",
    ]
    parts += [second, "and the", third, "in", place]
    return pc.binary_join_element_wise(*parts, " ")
