"""Which column of a table that nobody has described means what: by its name, and by what is in it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import UserError
from tasks.sources.parsed_files import EARLIEST, EPOCH
from tasks.sources.times import AmbiguousTimes, as_micros, time_form
from tasks.sources.values import MICROS_PER_DAY, as_number

_USER = (
    "user user_id userid uid customer_id customerid customer client_id account_id member_id profile_id visitor_id "
    "visitorid reviewer_id reviewerid viewer_id subscriber_id person_id author_id session_id sessionid session "
    "cookie_id device_id"
)
_ITEM = (
    "item item_id itemid iid movie_id movieid film_id video_id videoid title_id show_id product_id productid "
    "parent_asin asin article_id articleid news_id track_id trackid song_id artist_id artistid book_id isbn "
    "business_id gmap_id content_id game_id app_id location_id venue_id aid sku product_name product"
)
_TIME = (
    "time timestamp ts event_time eventtime datetime date_time time_ms timestamp_ms occurred_at played_at watched_at "
    "viewed_at rated_at created_at unix_review_time unixreviewtime review_time t_dat event_date eventdate date_added "
    "date dt day"
)
EVENTS: Mapping[str, str] = {
    "user": _USER,
    "item": _ITEM,
    "time": _TIME,
    "rating": "rating ratings stars score overall user_rating book_rating rate",
    "weight": "weight count plays play_count playcount listen_count",
    "watch_s": "watch_s watch_seconds watched_seconds play_seconds seconds_watched",
    "completion": "completion completion_rate watch_ratio",
    "duration_s": "duration_s duration_seconds",
}
"""Setting below `source.columns` -> names that such a column has, the likeliest first."""

USERS: Mapping[str, str] = {
    "id": _USER + " id",
    "age": "age user_age",
    "gender": "gender sex",
    "region": "region country state location user_geo",
    "subscription_type": "subscription_type subscription plan",
    "primary_device": "primary_device device",
    "signup_date": "signup_date signup registered registered_at registration_date joined join_date yelping_since",
}
ITEMS: Mapping[str, str] = {
    "id": _ITEM + " id",
    "title": "title name movie_title item_name product_name prod_name video_name track_name song_name",
    "genres": "genres genre categories category tags product_group_name",
    "content_type": "content_type",
    "series_id": "series_id",
    "season": "season",
    "episode": "episode",
    "duration_s": "duration_s duration_seconds length_s",
    "language": "language lang language_code",
    "uploaded_at": "uploaded_at upload_dt release_date released published_at publication_date release_year year",
    "description": "description overview plot summary abstract about detail_desc",
    "creator_id": "creator_id author_id brand studio channel_id publisher director",
}
_NUMBERS = ("rating", "weight", "watch_s", "completion", "duration_s", "age", "season", "episode")
_DATES = ("signup_date", "uploaded_at")
ENOUGH = 0.9
"""Share of the values of a column that have to be of a kind."""


def plainly(name: str) -> str:
    """`userId`, `User-ID` and `user id` are `user_id`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")


@dataclass(frozen=True)
class Roles:
    """What columns mean.

    Attributes:
        columns: setting -> column.
        guessed: settings found by content alone, which somebody should look at.
    """

    columns: dict[str, str] = field(default_factory=dict)
    guessed: tuple[str, ...] = ()

    @property
    def is_log(self) -> bool:
        return {"user", "item", "time"} <= set(self.columns)


def by_name(names: Sequence[str], known: Mapping[str, str], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Setting -> column, each column once; `given` ones that are there come first."""
    found = {setting: column for setting, column in (given or {}).items() if column in names}
    plain = {plainly(name.rpartition(".")[2]): name for name in reversed(names)}
    plain |= {plainly(name): name for name in reversed(names)}
    for setting, words in known.items():
        free = (plain[word] for word in words.split() if word in plain and plain[word] not in found.values())
        column = next(free, None)
        if setting not in found and column is not None:
            found[setting] = column
    return found


def roles_of_log(sample: pa.Table, given: Mapping[str, str]) -> Roles:
    """What the columns of a log mean; those that no name tells are told by their values."""
    found = that_fit(sample, by_name(sample.column_names, EVENTS, given), given)
    if "time" in found and "time" not in given and not is_time(sample[found["time"]]):
        del found["time"]
    guessed = []
    free = [name for name in sample.column_names if name not in found.values()]
    if "time" not in found and (times := [name for name in free if is_time(sample[name])]):
        # Of several, the finest: a log may have the day beside the moment.
        found["time"] = max(times, key=lambda name: num_different(sample[name]))
        guessed.append("time")
    free = [name for name in sample.column_names if name not in found.values() and is_id(sample[name])]
    if "user" not in found and free:
        found["user"] = free.pop(0)
        guessed.append("user")
    if "item" not in found and free:
        # A track is finer than its artist and a product than its category.
        found["item"] = max(free, key=lambda name: num_different(sample[name]))
        guessed.append("item")
    return Roles(found, tuple(guessed))


def is_time(values: pa.ChunkedArray) -> bool:
    """Whether nearly all of a column are moments between 1980 and today."""
    array = values.combine_chunks().drop_null()
    if not len(array):
        return False
    try:
        micros, bad = as_micros(array, time_form(array), "time")
    except AmbiguousTimes:
        return True
    except (UserError, pa.ArrowException):
        return False
    first, last = ((day - EPOCH).days * MICROS_PER_DAY for day in (EARLIEST, EPOCH.today()))
    return bool((~bad & (micros >= first) & (micros < last + MICROS_PER_DAY)).mean() >= ENOUGH)


def is_id(values: pa.ChunkedArray) -> bool:
    """Whether a column may tell one from another: text or whole numbers, more than a few, hardly any missing."""
    type_ = values.type
    scalar = not (pa.types.is_nested(type_) or pa.types.is_temporal(type_) or pa.types.is_boolean(type_))
    if not scalar or values.null_count > len(values) * (1 - ENOUGH) or is_time(values):
        return False
    if pa.types.is_floating(type_):
        numbers = values.drop_null().to_numpy()
        if (numbers != np.floor(numbers)).any():
            return False
    return num_different(values) > 5


def num_different(values: pa.ChunkedArray) -> int:
    """How many values there are, missing ones left out."""
    known = values.drop_null()
    try:
        return len(pc.unique(known))
    except pa.ArrowNotImplementedError:
        return len(set(map(str, known.to_pylist())))


def that_fit(sample: pa.Table, found: Mapping[str, str], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """The columns that have what their names say: numbers where numbers are needed, dates where dates are.

    `PG-13` is no rating, and a season `S01` no number: such columns would stop the night, and it can do without.
    """
    needs = {**dict.fromkeys(_NUMBERS, _has_numbers), **dict.fromkeys(_DATES, _has_dates)}
    kept = given or {}
    return {s: c for s, c in found.items() if s in kept or s not in needs or needs[s](sample[c])}


def _has_numbers(values: pa.ChunkedArray) -> bool:
    known = values.drop_null()
    try:
        return len(numbers_of(known)) > len(known) / 2
    except UserError:
        return False


def _has_dates(values: pa.ChunkedArray) -> bool:
    known = values.combine_chunks().drop_null()
    try:
        _, bad = as_micros(known, time_form(known, listed=True), "date")
    except (UserError, pa.ArrowException):
        return False
    return bool(len(known)) and bad.mean() < 0.5


def numbers_of(values: pa.ChunkedArray) -> np.ndarray:
    """The numbers of a column, those that are none left out."""
    numbers, bad = as_number(values.combine_chunks(), "rating")
    return np.asarray(numbers[~bad & ~np.isnan(numbers)])
