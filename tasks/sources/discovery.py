"""What a source consists of: its log files, its users, its items, and what stands in for what it lacks."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pyarrow as pa

from expectations.errors import UserError
from expectations.substitutes import Substitute
from tasks.sources.config import EventColumns, SourceConfig
from tasks.sources.reading import DataFile

KINDS = {"movielens": "tasks.sources.movielens:find_movielens", "table": "tasks.sources.tables:find_table"}
"""`source.kind` -> `module:function` that finds the files of such a source, given its root and its config.

Named and not imported, so that what one kind does decides nothing about sources of another.
"""

Listing = Callable[[], pa.Table]
"""Reads users or items: `external_id` and the declared columns besides the key, one row an id."""


@dataclass(frozen=True)
class Source:
    """A source, found but not read.

    Attributes:
        columns: which column of the log files means what.
        beside: files behind `users` and `items`.
        readers: `module:function` of all that reads those files; read by other code, they are read again.
        notes: what is to be said of the place itself, such as files that are no data.
    """

    root: Path
    logs: tuple[DataFile, ...]
    columns: EventColumns
    users: Listing
    items: Listing
    beside: tuple[Path, ...]
    readers: tuple[str, ...]
    substitutes: tuple[Substitute, ...]
    notes: tuple[str, ...] = ()


def find_source(config: SourceConfig) -> Source:
    """Find the files of a source.

    Raises:
        UserError: something is missing, empty or of no known form.
    """
    if config.kind == "world":
        raise ValueError("made data has no source to find")
    if not config.path:
        raise UserError("source.path is not set; say where the data is: --set source.path=DIR")
    if "://" in config.path:
        raise UserError(f"source.path: {config.path} is a URL; give a folder of this machine, copied or mounted")
    root = Path(config.path).expanduser().absolute()
    if not root.exists():
        raise UserError(f"source.path: {root} does not exist; say where the data is: --set source.path=DIR")
    module, function = KINDS[config.kind].split(":")
    found: Source = getattr(import_module(module), function)(root, config)
    return found


def event_substitutes(config: SourceConfig, columns: EventColumns) -> list[Substitute]:
    """What stands in for what an event log lacks."""
    lacks = {
        "no_impressions": True,
        "no_bar": config.positive_min_rating is None and config.positive_min_completion is None,
        "no_watch_time": not columns.watch_s,
        "no_completion": not columns.completion and not (columns.watch_s and columns.duration_s),
        "no_weights": not columns.weight,
    }
    return [Substitute(name) for name, lacking in lacks.items() if lacking]
