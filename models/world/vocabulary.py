"""The words and categories that the made service consists of.

A **niche** is what tastes are about: a genre with a flavour, the flavour being the genre it leans towards. An item
belongs to one niche, and its genres, words and studio tell which.
"""

import numpy as np

GENRES: dict[str, tuple[str, ...]] = {
    "action": ("chase", "agent", "explosion", "rescue", "convoy", "vengeance", "heist", "stunt"),
    "animation": ("dragon", "toy", "lantern", "fox", "island", "wizard", "balloon", "puppet"),
    "comedy": ("wedding", "neighbour", "mix-up", "roommate", "prank", "boss", "reunion", "holiday"),
    "crime": ("detective", "alibi", "witness", "evidence", "cartel", "verdict", "murder", "forger"),
    "documentary": ("archive", "expedition", "ocean", "glacier", "pioneer", "harvest", "orbit", "migration"),
    "drama": ("inheritance", "secret", "farewell", "letter", "sister", "village", "promise", "silence"),
    "family": ("puppy", "treehouse", "grandmother", "camp", "birthday", "pony", "bakery", "snowman"),
    "horror": ("cellar", "curse", "shadow", "asylum", "whisper", "grave", "mirror", "possession"),
    "romance": ("kiss", "summer", "florist", "proposal", "stranger", "train", "dance", "longing"),
    "scifi": ("starship", "android", "colony", "signal", "wormhole", "clone", "reactor", "moon"),
    "sport": ("final", "coach", "marathon", "underdog", "season", "ring", "stadium", "record"),
    "thriller": ("hostage", "deadline", "double", "conspiracy", "sniper", "betrayal", "border", "code"),
}
"""Genre -> nouns of its titles and descriptions."""

GENRE_NAMES = tuple(GENRES)
NOUNS = np.array([word for words in GENRES.values() for word in words])
NOUNS_PER_GENRE = 8
FLAVOURS = 4
NICHES = len(GENRES) * FLAVOURS
_LEANS = (1, 4, 6, 9)
SECONDARY = np.array([(g + lean) % len(GENRES) for g in range(len(GENRES)) for lean in _LEANS], dtype=np.int16)
"""Genre that each niche leans towards; the niche's own genre is `niche // FLAVOURS`."""

ADJECTIVES = np.array(
    ["last", "hidden", "golden", "broken", "silent", "crimson", "distant", "endless", "forgotten", "frozen", "gentle",
     "hollow", "little", "midnight", "northern", "paper", "quiet", "restless", "savage", "second", "secret", "seventh",
     "silver", "stolen", "sunken", "velvet", "wild", "winter", "wandering", "burning"]
)  # fmt: skip
PLACES = np.array(
    ["Lisbon", "Kyoto", "Nairobi", "Oslo", "Havana", "Mumbai", "Prague", "Seattle", "Cairo", "Lima", "Naples", "Dakar",
     "Hanoi", "Bergen", "Quito", "Salvador"]
)  # fmt: skip
MOODS = np.array(
    ["tense", "tender", "funny", "bleak", "hopeful", "clever", "sweeping", "intimate", "noisy", "dreamlike", "brisk",
     "unsettling"]
)  # fmt: skip

REGIONS = ("US", "IN", "BR", "GB", "DE", "FR")
REGION_SHARES = np.array([0.30, 0.20, 0.15, 0.13, 0.12, 0.10])
LANGUAGES = ("en", "hi", "pt", "de", "fr", "es")
LANGUAGE_SHARES = np.array([0.44, 0.16, 0.12, 0.11, 0.11, 0.06])
SPOKEN = np.array(
    [  # en   hi    pt    de    fr    es
        [1.0, 0.10, 0.10, 0.10, 0.15, 0.40],  # US
        [0.6, 1.00, 0.05, 0.05, 0.05, 0.05],  # IN
        [0.5, 0.05, 1.00, 0.05, 0.08, 0.40],  # BR
        [1.0, 0.15, 0.08, 0.12, 0.20, 0.15],  # GB
        [0.6, 0.05, 0.05, 1.00, 0.15, 0.10],  # DE
        [0.5, 0.05, 0.08, 0.15, 1.00, 0.20],  # FR
    ]
)
"""How much of an item's appeal is left in a region (row) for its language (column)."""

TIERS = ("free", "basic", "premium")
MATURITY_RATINGS = ("all", "7", "13", "16", "18")
MATURITY_AGES = np.array([0, 7, 13, 16, 18])
GENDERS = ("female", "male", "other")
DEVICES = ("tv", "mobile", "tablet", "web")
DEVICE_KBPS = np.array([7000.0, 2500.0, 3500.0, 5000.0])
PLATFORMS_PER_DEVICE = 3
PLATFORMS = (
    *("tizen", "webos", "android_tv"),
    *("android", "ios", "ios"),
    *("ipados", "android", "ipados"),
    *("chrome", "firefox", "safari"),
)
"""Platforms of each device in turn; one that is listed twice is twice as common."""
CONTENT_TYPES = ("movie", "episode", "clip", "live")
MOVIE, EPISODE, CLIP, LIVE = range(4)
