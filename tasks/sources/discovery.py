"""What a source consists of: its log files, its users, its items, and what stands in for what it lacks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import pyarrow as pa

from expectations.errors import UserError
from expectations.substitutes import Substitute
from tasks.sources.config import EventColumns, SourceConfig
from tasks.sources.folders import check_link, real
from tasks.sources.reading import DataFile

KINDS = {
    "movielens": "tasks.sources.movielens:find_movielens",
    "table": "tasks.sources.tables:find_table",
    "sql": "tasks.sources.databases:find_sql",
}
"""`source.kind` -> `module:function` that finds the files of such a source, given its config and the home.

Named and not imported, so that what one kind does decides nothing about sources of another.
"""


@dataclass(frozen=True)
class Listed:
    """Users or items that a source lists.

    Attributes:
        table: `external_id` and the declared columns besides the key, one row an id.
        notes: what is not as it is written there, one sentence each.
    """

    table: pa.Table
    notes: tuple[str, ...] = ()


Listing = Callable[[], Listed]
"""Reads users or items."""


@dataclass(frozen=True)
class Source:
    """A source, found but not read.

    Attributes:
        place: where it lies; under whatever name it was given, the same for the same place.
        columns: which column of the log files means what.
        beside: files behind `users` and `items`.
        members: identities of those that belong to tables which say more of them.
        readers: `module:function` of all that reads those files; read by other code, they are read again.
        notes: what is to be said of the place itself, such as which state of a table it is; in no key.
        logs_beside: files of what was shown, done and searched for, by dataset.
    """

    place: str
    logs: tuple[DataFile, ...]
    columns: EventColumns
    users: Listing
    items: Listing
    beside: tuple[Path, ...]
    readers: tuple[str, ...]
    substitutes: tuple[Substitute, ...]
    members: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    logs_beside: Mapping[str, tuple[DataFile, ...]] = field(default_factory=dict)


def find_source(config: SourceConfig, home: Path) -> Source:
    """Find the files of a source.

    Args:
        home: in whose scratch a source may be fetched.

    Raises:
        UserError: something is missing, empty or of no known form.
    """
    if config.kind == "world":
        raise ValueError("made data has no source to find")
    module, function = KINDS[config.kind].split(":")
    found: Source = getattr(import_module(module), function)(config, home)
    return found


def find_root(config: SourceConfig) -> Path:
    """The file or folder of a source, by its one name: that of the plays, or of what was clicked in their place.

    Raises:
        UserError: there is none.
    """
    key, given = "source.path", config.path
    if config.clicks_are_plays:
        key, given = "source.impressions.path", config.impressions.path
    if not given:
        raise UserError("source.path is not set; say where the data is: --set source.path=DIR")
    if "://" in given:
        raise UserError(f"{key}: {given} is a URL; give a folder of this machine, copied or mounted")
    path = Path(given).expanduser().absolute()
    check_link(path, key)
    if not path.exists():
        raise UserError(f"{key}: {path} does not exist; say where the data is: --set {key}=DIR")
    return real(path)


def event_substitutes(config: SourceConfig, columns: EventColumns) -> list[Substitute]:
    """What stands in for what an event log lacks."""
    lacks = {
        "no_impressions": not config.impressions.is_named,
        "no_propensities": config.impressions.is_named and not config.impressions.propensity,
        "no_bar": config.positive_min_rating is None and config.positive_min_completion is None,
        "no_watch_time": not columns.watch_s,
        "no_completion": not columns.completion and not (columns.watch_s and columns.duration_s),
        "no_weights": not columns.weight,
    }
    return [Substitute(name) for name, lacking in lacks.items() if lacking]
