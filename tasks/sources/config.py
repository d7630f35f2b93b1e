"""Settings of the source: where events come from, and which of its columns mean what."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from expectations.passwords import redacted
from expectations.settings import settings

Snapshot = Annotated[str, BeforeValidator(str)]
"""YAML makes numbers and dates of what looks like them."""


def _without_password(url: str) -> str:
    """Configs are recorded, by runs and by Prefect."""
    bare = re.sub(r"\$\{\w+\}", "", url)
    if redacted(bare, spaces=True) != bare:
        raise ValueError(
            "it has a password in it, which would be recorded; write ${NAME} for it, and set that variable"
        )
    return url


TimeUnit = Literal["auto", "s", "ms", "us", "ns", "iso"]


@settings
class EventColumns:
    """Names of the columns of an event log; an empty name means that the log has no such column."""

    user: str = "user"
    """User id: whole numbers, text or UUIDs."""

    item: str = "item"
    """Item id: whole numbers, text or UUIDs."""

    time: str = "time"
    """When it happened; UTC where no offset is written."""

    rating: str = ""
    """Explicit rating."""

    weight: str = ""
    """Strength of the interaction for implicit models, above 0."""

    watch_s: str = ""
    """Seconds watched."""

    completion: str = ""
    """Share of the item watched, 0 to 1; what was replayed, above 1, counts as 1."""

    duration_s: str = ""
    """Length of the item in seconds; with `watch_s` it gives the completion where that is not there."""


@settings
class TextFile:
    """How text is cut into fields. What is not set is found in each file by itself, and said."""

    delimiter: Annotated[str, Field(max_length=8)] = ""
    """What stands between fields, such as `,` or `::`, or `\\t` for a tab; empty: found in the file."""

    quote: str = "auto"
    """Character around values that have delimiters in them; `none`: quotes are ordinary characters."""

    escape: str = "auto"
    """Character before a quote within quotes; `none`: such quotes are doubled."""

    header: tuple[str, ...] = ()
    """Names of the columns, in order, where the file does not name them; empty: the first line does."""

    encoding: str = "utf-8"
    """Encoding; files that begin with a mark of UTF-8 or UTF-16 are read by it."""

    def __post_init__(self) -> None:
        for name in ("quote", "escape"):
            value = getattr(self, name)
            if value not in ("auto", "none") and not (len(value) == 1 and value.isascii() and value not in "\r\n"):
                raise ValueError(f"{name}: {value!r} is none of auto, none or one character")


@settings
class UsersFile(TextFile):
    """A file, folder or table with one row a user; an empty name means that it has no such column."""

    encoding: str = ""
    """Encoding; empty: that of the log."""

    path: str = ""
    """File or folder, absolute or beside the log; empty: there is none."""

    snapshot: Snapshot = ""
    """State of a Delta or Iceberg table, as `source.snapshot`."""

    table: str = ""
    """In place of a path: a table or view of the database of `source.url`."""

    query: str = ""
    """In place of a path: a query to that database."""

    id: str = "user"
    """User id, as in the log."""

    age: str = ""
    """Age in years; below 3 or above 120 it counts as unknown, a group such as `25-34` as its youngest age."""

    gender: str = ""
    """female, male, other; F and M are understood."""

    region: str = ""
    """Where the account lives."""

    lifecycle: str = ""
    """new, active, at_risk, churned."""

    engagement_tier: str = ""
    """low, medium, high."""

    subscription_type: str = ""
    """free, basic, premium."""

    primary_device: str = ""
    """tv, mobile, tablet, web."""

    signup_date: str = ""
    """First day of the account. Without it everyone listed counts as known from the first day."""

    date_format: str = ""
    """How its dates are written, such as `%d/%m/%Y`; empty: found out."""


@settings
class ItemsFile(TextFile):
    """A file, folder or table with one row an item; an empty name means that it has no such column."""

    encoding: str = ""
    """Encoding; empty: that of the log."""

    path: str = ""
    """File or folder, absolute or beside the log; empty: there is none."""

    snapshot: Snapshot = ""
    """State of a Delta or Iceberg table, as `source.snapshot`."""

    table: str = ""
    """In place of a path: a table or view of the database of `source.url`."""

    query: str = ""
    """In place of a path: a query to that database."""

    id: str = "item"
    """Item id, as in the log."""

    separator: str = ""
    """Stands between the values of `genres` and `available_regions` in text columns that are no lists as JSON or Python
    write them; empty: `|`, or where it never occurs a comma, semicolon or slash that parts words which recur."""

    title: str = ""
    """Title."""

    genres: str = ""
    """Genres: a list column (of structs: their names), a list as JSON or Python write it, or text with separators; the
    primary one first."""

    content_type: str = ""
    """movie, episode, clip, live."""

    series_id: str = ""
    """Series that the episode belongs to; ids of any kind."""

    season: str = ""
    """Season, from 1."""

    episode: str = ""
    """Episode, from 1."""

    duration_s: str = ""
    """Length in seconds."""

    language: str = ""
    """ISO 639-1 code."""

    maturity_rating: str = ""
    """all, 7, 13, 16, 18: youngest age allowed."""

    content_tier: str = ""
    """free, basic, premium: lowest subscription that may watch."""

    available_regions: str = ""
    """Regions with rights: a list column, or text with separators; missing means everywhere."""

    creator_id: str = ""
    """Studio or channel; ids of any kind."""

    uploaded_at: str = ""
    """First moment it could be watched. Without it everything listed counts as there from the first day."""

    available_until: str = ""
    """End of the rights; missing means never."""

    description: str = ""
    """Free text for TF-IDF."""

    embedding: str = ""
    """Pretrained text or image vector: a list column, or numbers as text; one length for all."""

    date_format: str = ""
    """How its dates are written, such as `%d/%m/%Y`; empty: found out."""


@settings
class SourceConfig(TextFile):
    """Where events, users and items come from."""

    kind: Literal["world", "movielens", "table", "sql"] = "world"
    """`world`: made data; `movielens`: a MovieLens folder; `table`: files or a Delta or Iceberg table, `sql`: a
    database, both by the mappings below."""

    path: str = ""
    """Folder of a MovieLens set; file, folder or hive-partitioned folder of a table. Placement: not part of any key."""

    url: Annotated[str, AfterValidator(_without_password)] = ""
    """SQLAlchemy URL of a database. `${NAME}`, for all of it or a part, is an environment variable; a password must be
    one, or come from the driver's own file (`~/.pgpass`). Placement: not part of any key."""

    table: str = ""
    """Table or view of the database with the events, perhaps `schema.table`."""

    query: str = ""
    """In place of a table: a query for them."""

    snapshot: Snapshot = ""
    """State of a Delta or Iceberg table: the number of a version or the id of a snapshot, or an ISO 8601 time, as of
    which it is read. Empty: the newest. Not part of any key; what is in it is."""

    columns: EventColumns = EventColumns()
    """Columns of the events of a table."""

    users: UsersFile = UsersFile()
    """Users of a table."""

    items: ItemsFile = ItemsFile()
    """Items of a table."""

    time_unit: TimeUnit = "auto"
    """Unit of times that are numbers, or `iso` for ISO 8601 text; `auto` tells them apart by their size, and finds
    common formats (`20210703`, `7/3/2021 4:05:06 AM`). Found once a file: what is of another unit there is refused."""

    time_format: Annotated[str, Field(pattern=r"^$|%")] = ""
    """How times are written, such as `%m/%d/%Y %I:%M:%S %p`, whatever the machine's language; empty: by `time_unit`."""

    positive_min_rating: float | None = None
    """Ratings from here on are positives; events without a rating are then none. Empty: ratings do not matter."""

    positive_min_completion: Annotated[float, Field(ge=0, le=1)] | None = None
    """Completions from here on are positives; events without one are then none. Empty: completion does not matter."""

    strict: bool = True
    """Stop at rows that cannot be used and at days of nothing but new ids; if false, such rows are left out and
    counted, such days are kept and named."""

    @property
    def setting(self) -> str:
        """The setting that names the events, for messages."""
        return f"source.{'path' if self.kind != 'sql' else 'table' if self.table else 'query'}"
