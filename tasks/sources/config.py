"""Settings of the source: where events come from, and which of its columns mean what."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from expectations.datasets import ACTION_KINDS
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


def _kinds(value: Any) -> Any:
    """A mapping of words to kinds of actions as what can be hashed; YAML makes numbers and nothing of some words."""
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
        raise ValueError('give words of the log and what they are, such as {heart: like, view: ""}')
    made = tuple((str(word), "" if kind is None else kind) for word, kind in pairs)
    for word, kind in made:
        if kind not in ("", *ACTION_KINDS):
            raise ValueError(f"{word!r} is {kind!r}, which is none of {', '.join(ACTION_KINDS)} and not empty")
    return made


def _refuse_empty(of: Any, *names: str) -> None:
    """Refuse columns without a name that every row needs."""
    for name in names:
        if not getattr(of, name).strip():
            raise ValueError(f"{name} is empty, and every row needs one: name its column, or leave the setting out")


TimeUnit = Literal["auto", "s", "ms", "us", "ns", "iso"]
TimeFormat = Annotated[str, Field(pattern=r"^$|%")]


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

    def __post_init__(self) -> None:
        _refuse_empty(self, "user", "item", "time")


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
class FileBeside(TextFile):
    """A file, folder or table beside the log of plays."""

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

    @property
    def is_named(self) -> bool:
        """Whether there is one."""
        return bool(self.path or self.table or self.query)


@settings
class UsersFile(FileBeside):
    """A file, folder or table with one row a user; an empty name means that it has no such column."""

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

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse_empty(self, "id")


@settings
class ItemsFile(FileBeside):
    """A file, folder or table with one row an item; an empty name means that it has no such column."""

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

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse_empty(self, "id")


@settings
class LogFile(FileBeside):
    """A log beside that of the plays; an empty name means that it has no such column."""

    user: str = "user"
    """User id, as in the log."""

    time: str = "time"
    """When it happened."""

    time_unit: TimeUnit | Literal[""] = ""
    """Unit of its times, as `source.time_unit`; empty, where `time_format` is too: as the times of the source."""

    time_format: TimeFormat = ""
    """How its times are written, as `source.time_format`; empty: by `time_unit`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse_empty(self, *self._needed)

    @property
    def names(self) -> list[str]:
        """Columns that are read, each once."""
        return list(dict.fromkeys(name for name in (self.user, self.time, *self._others) if name))

    @property
    def _others(self) -> tuple[str, ...]:
        """Columns besides these two."""
        raise NotImplementedError

    @property
    def _needed(self) -> tuple[str, ...]:
        """Settings whose columns every row needs."""
        return "user", "time"


@settings
class ImpressionsFile(LogFile):
    """What was shown: a row an item (`item`), or a row a list (`shown`); an empty name means that there is no such
    column."""

    item: str = "item"
    """Item id, as in the log, where a row is one item."""

    shown: str = ""
    """In place of `item`: the items of a list, in order from the first place. A list column, a list as JSON or Python
    write it, or text with separators."""

    mark: Annotated[str, Field(max_length=8)] = ""
    """In `shown`, between an item and the 1 or 0 that says whether it was clicked, such as `-` in `N1-0 N2-1`."""

    clicked: str = ""
    """Whether it was clicked, 1 or 0; beside `shown` the list of those that were. Empty, without a `mark`: the plays
    say it."""

    separator: str = ""
    """Stands between the items of `shown` and of `clicked` in text; empty: spaces, commas, semicolons or bars."""

    request: str = ""
    """Id of the page or rail that it was shown on; empty: a list is one, or all that a user was shown at once."""

    position: str = ""
    """Place on it, from 1; empty: by the order of the rows."""

    propensity: str = ""
    """Probability with which it was shown there, above 0."""

    surface: str = ""
    """home, browse, search, next_up."""

    @property
    def _others(self) -> tuple[str, ...]:
        what = self.shown or self.item
        return what, self.clicked, self.request, self.position, self.propensity, self.surface

    @property
    def _needed(self) -> tuple[str, ...]:
        return (*super()._needed, *(() if self.shown else ("item",)))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shown and self.position:
            raise ValueError("shown and position are both set; places follow from the order in a list: leave one out")
        if self.shown and self.propensity:
            raise ValueError(
                "shown and propensity are both set; a list has no column of what is of one item: leave it out"
            )
        if self.mark and (self.clicked or not self.shown):
            raise ValueError("mark is for lists (shown) that say themselves what was clicked; leave it or clicked out")


@settings
class ActionsFile(LogFile):
    """What else people did with items, a row an action; an empty name means that there is no such column."""

    item: str = "item"
    """Item id, as in the log; actions that concern none have none."""

    action: str = "action"
    """What was done: browse, pause, rate, like, share, complete, or words that `kinds` translates."""

    kinds: Annotated[tuple[tuple[str, str], ...], BeforeValidator(_kinds)] = ()
    """The log's word -> browse, pause, rate, like, share or complete; empty: such rows are none, and passed over."""

    value: str = ""
    """Rating given, 1 to 5, for rate."""

    @property
    def _others(self) -> tuple[str, ...]:
        return self.item, self.action, self.value

    @property
    def _needed(self) -> tuple[str, ...]:
        return *super()._needed, "action"


@settings
class SearchesFile(LogFile):
    """What people searched for, a row a search; an empty name means that there is no such column."""

    text: str = "query"
    """What was typed."""

    clicked_item: str = ""
    """Item id of the result that was opened, as in the log."""

    @property
    def _others(self) -> tuple[str, ...]:
        return self.text, self.clicked_item

    @property
    def _needed(self) -> tuple[str, ...]:
        return *super()._needed, "text"


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

    impressions: ImpressionsFile = ImpressionsFile()
    """What was shown, of a table. Where `source.path`, `.table` and `.query` are empty, its clicks are the plays."""

    actions: ActionsFile = ActionsFile()
    """What else was done, of a table."""

    searches: SearchesFile = SearchesFile()
    """What was searched for, of a table."""

    time_unit: TimeUnit = "auto"
    """Unit of times that are numbers, or `iso` for ISO 8601 text; `auto` tells them apart by their size, and finds
    common formats (`20210703`, `7/3/2021 4:05:06 AM`). Found once a file: what is of another unit there is refused."""

    time_format: TimeFormat = ""
    """How times are written, such as `%m/%d/%Y %I:%M:%S %p`, whatever the machine's language; empty: by `time_unit`."""

    positive_min_rating: float | None = None
    """Ratings from here on are positives; events without a rating are then none. Empty: ratings do not matter."""

    positive_min_completion: Annotated[float, Field(ge=0, le=1)] | None = None
    """Completions from here on are positives; events without one are then none. Empty: completion does not matter."""

    strict: bool = True
    """Stop at rows that cannot be used and at days of nothing but new ids; if false, such rows are left out and
    counted, such days are kept and named."""

    def __post_init__(self) -> None:
        super().__post_init__()
        beside = {name: getattr(self, name).is_named for name in ("impressions", "actions", "searches")}
        if self.kind in ("world", "movielens") and any(beside.values()):
            name = next(name for name, named in beside.items() if named)
            raise ValueError(f"{name} are of sources of the kind table or sql; set source.kind, or leave them out")
        if self.clicks_are_plays and self.columns != EventColumns():
            raise ValueError(
                "columns are of the log of plays, and there is none (path, table or query): set one of both"
            )
        if self.clicks_are_plays and not (self.impressions.clicked or self.impressions.mark):
            raise ValueError(
                "there is no log of plays (path, table or query), and impressions do not say what was clicked "
                "(impressions.clicked, or impressions.mark): set one of both"
            )

    @property
    def setting(self) -> str:
        """The setting that names the events, for messages."""
        section, of = ("source", self) if not self.clicks_are_plays else ("source.impressions", self.impressions)
        return f"{section}.{'path' if self.kind != 'sql' or of.path else 'table' if of.table else 'query'}"

    def time_form(self, of: LogFile | None = None) -> str:
        """Format or unit of the times of the plays, or of a log beside them, which may have its own."""
        own = (of.time_format, of.time_unit) if of else ()
        return next(form for form in (*own, self.time_format, self.time_unit) if form)

    @property
    def columns_setting(self) -> str:
        """The section that names the columns of the plays, for messages."""
        return "source.impressions" if self.clicks_are_plays else "source.columns"

    @property
    def clicks_are_plays(self) -> bool:
        """Whether what was clicked stands for the plays, which no log of their own says."""
        return self.impressions.is_named and not (self.path or self.table or self.query)
