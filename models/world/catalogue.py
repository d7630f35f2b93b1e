"""What there is to watch: items in order of upload, so that what exists by a day is the first part of them.

Shapes: I items, S series.
"""

from dataclasses import dataclass, fields

import numpy as np

from models.world.config import WorldConfig
from models.world.draws import generator
from models.world.growth import Growth
from models.world.vocabulary import (
    ADJECTIVES,
    CLIP,
    EPISODE,
    FLAVOURS,
    LANGUAGE_SHARES,
    LIVE,
    MOODS,
    MOVIE,
    NICHES,
    NOUNS_PER_GENRE,
    PLACES,
    REGIONS,
)

_BLOCK = 1024  # items drawn together; one is the same however many others are made
_EPISODE_SHARE = 0.35
_STUDIOS = 5
EVERYWHERE = 2 ** len(REGIONS) - 1
NEVER = 2**31 - 1
_MATURITY_SHARES = np.array([0.20, 0.15, 0.30, 0.20, 0.15])
_TIER_SHARES = np.array([0.45, 0.35, 0.20])
_GRIM, _GENTLE = (3, 7, 11), (1, 6)  # genres: crime, horror, thriller; animation, family


@dataclass(frozen=True)
class Catalogue:
    """Columns of the items, all `[I]`. Days are ordinals; categories are indexes into `vocabulary`.

    Attributes:
        series: item id of the series' first episode, -1 for other items.
        regions: bit r is set where region r has the rights.
        weight: appeal to everyone (a power law), before freshness and language.
        quality: 0.6 to 1, share of the people it could please that it does.
        uploaded, premiere, until: first day in the catalogue, first day on the pages, first day without rights.
        words: int16 `[I, 6]`: adjective, noun, two more nouns, place, mood.
    """

    niche: np.ndarray
    content_type: np.ndarray
    series: np.ndarray
    season: np.ndarray
    episode: np.ndarray
    duration_s: np.ndarray
    language: np.ndarray
    maturity: np.ndarray
    tier: np.ndarray
    regions: np.ndarray
    studio: np.ndarray
    weight: np.ndarray
    quality: np.ndarray
    uploaded: np.ndarray
    premiere: np.ndarray
    until: np.ndarray
    tells_lean: np.ndarray
    words: np.ndarray

    def __len__(self) -> int:
        return len(self.niche)


def draw_catalogue(config: WorldConfig, growth: Growth, num_items: int) -> Catalogue:
    """At least `num_items` items; each is the same whatever the number."""
    blocks = [_block(config, growth, b) for b in range(-(-num_items // _BLOCK))]
    return Catalogue(**{f.name: np.concatenate([getattr(b, f.name) for b in blocks]) for f in fields(Catalogue)})


def _block(config: WorldConfig, growth: Growth, number: int) -> Catalogue:
    rng = generator(config.seed, "items", number)
    lengths = _series_lengths(rng)
    titles = len(lengths)
    of = np.repeat(np.arange(titles), lengths)  # title of each item
    place = np.arange(_BLOCK) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    is_series = lengths > 1
    ids = number * _BLOCK + np.arange(_BLOCK)
    niche = rng.integers(NICHES, size=titles)
    kind = np.where(is_series, EPISODE, rng.choice([MOVIE, CLIP, LIVE], size=titles, p=[0.62, 0.30, 0.08]))
    season_length = rng.integers(4, 9, size=titles)
    uploaded = growth.day_of(ids[np.cumsum(lengths) - 1])
    premiere = uploaded + np.floor(rng.random(titles) * 2 * _mean_delay(config)).astype(np.int64)
    genre = niche // FLAVOURS
    nouns = genre[:, None] * NOUNS_PER_GENRE + rng.integers(NOUNS_PER_GENRE, size=(titles, 3))
    others = [rng.integers(len(words), size=titles) for words in (ADJECTIVES, PLACES, MOODS)]
    words = np.column_stack([others[0], nouns, others[1], others[2]])
    per_title = {
        "niche": niche,
        "content_type": kind,
        "duration_s": _durations(rng, kind),
        "language": rng.choice(len(LANGUAGE_SHARES), size=titles, p=LANGUAGE_SHARES),
        "maturity": _maturity(rng, genre),
        "tier": rng.choice(len(_TIER_SHARES), size=titles, p=_TIER_SHARES),
        "regions": _regions(rng, titles),
        "studio": niche * _STUDIOS + rng.choice(_STUDIOS, size=titles, p=[0.4, 0.25, 0.15, 0.1, 0.1]),
        "weight": _weights(rng, is_series, config.popularity_exponent),
        "quality": 0.6 + 0.4 * rng.random(titles),
        "uploaded": uploaded,
        "premiere": premiere,
        "until": _until(config, rng, uploaded, is_series),
        "tells_lean": rng.random(titles) < 0.75,
        "words": words,
    }
    return Catalogue(
        series=np.where(is_series, ids[np.cumsum(lengths) - lengths], -1)[of],
        season=np.where(is_series[of], place // season_length[of] + 1, 0),
        episode=np.where(is_series[of], place % season_length[of] + 1, 0),
        **{name: values[of] for name, values in per_title.items()},
    )


def _series_lengths(rng: np.random.Generator) -> np.ndarray:
    """Items of each title of a block: 1, or 5 to 14 for a series; the last title is cut to fit."""
    mean = 9.5
    series_share = _EPISODE_SHARE / (_EPISODE_SHARE + (1 - _EPISODE_SHARE) * mean)
    lengths = np.where(rng.random(_BLOCK) < series_share, rng.integers(5, 15, size=_BLOCK), 1)
    ends = np.cumsum(lengths)
    kept = np.searchsorted(ends, _BLOCK) + 1
    return np.diff(np.minimum(ends[:kept], _BLOCK), prepend=0)


def _mean_delay(config: WorldConfig) -> float:
    """Days between upload and premiere that leave `cold_item_share` of the catalogue waiting."""
    return config.cold_item_share / config.new_item_share


def _durations(rng: np.random.Generator, kind: np.ndarray) -> np.ndarray:
    typical = np.array([5_700.0, 2_400.0, 300.0, 6_600.0])[kind]
    return np.round(typical * np.exp(0.25 * rng.standard_normal(len(kind))))


def _maturity(rng: np.random.Generator, genre: np.ndarray) -> np.ndarray:
    drawn = rng.choice(len(_MATURITY_SHARES), size=len(genre), p=_MATURITY_SHARES)
    drawn = np.where(np.isin(genre, _GRIM), np.maximum(drawn, 2), drawn)
    return np.where(np.isin(genre, _GENTLE), np.minimum(drawn, 1), drawn)


def _regions(rng: np.random.Generator, titles: int) -> np.ndarray:
    """Four of five titles have rights everywhere, the others in about half of the regions."""
    some = rng.integers(1, EVERYWHERE, size=titles)
    return np.where(rng.random(titles) < 0.8, EVERYWHERE, some)


def _weights(rng: np.random.Generator, is_series: np.ndarray, exponent: float) -> np.ndarray:
    """A power law among the series and among the other titles of a block, in random order, with mean 1."""
    weights = np.empty(len(is_series))
    for group in (is_series, ~is_series):
        places = rng.permutation(np.count_nonzero(group))
        drawn = (places + 1.0) ** -exponent
        weights[group] = drawn / drawn.mean()
    return weights


def _until(config: WorldConfig, rng: np.random.Generator, uploaded: np.ndarray, is_series: np.ndarray) -> np.ndarray:
    """Series keep their rights: nobody is left in the middle of one."""
    ends = (rng.random(len(uploaded)) < config.expiring_item_share) & ~is_series
    return np.where(ends, uploaded + rng.integers(60, 300, size=len(uploaded)), NEVER)


def existing(catalogue: Catalogue, day: int) -> int:
    """How many items had been uploaded by the end of a day."""
    return int(np.searchsorted(catalogue.uploaded, day, side="right"))
