"""What a source consists of: its log files, its users, its items, and what stands in for what it lacks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

import pyarrow as pa

from expectations.datasets import ITEMS, USERS
from expectations.errors import UserError
from tasks.source_config import EventColumns, SourceConfig
from tasks.sources.listings import empty_listing, read_listing
from tasks.sources.reading import DataFile

Listing = Callable[[], pa.Table]
"""Reads users or items: `external_id` and the declared columns besides the key, one row an id."""

_SUFFIXES: dict[str, Literal["csv", "parquet"]] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
_PACKED = (".gz", ".bz2", ".zst")


@dataclass(frozen=True)
class Source:
    """A source, found but not read.

    Attributes:
        columns: which column of the log files means what.
        beside: files behind `users` and `items`.
        substitutes: one sentence for each thing that stands in for missing data.
    """

    root: Path
    logs: tuple[DataFile, ...]
    columns: EventColumns
    users: Listing
    items: Listing
    beside: tuple[Path, ...]
    substitutes: tuple[str, ...]


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
    if config.kind == "movielens":
        from tasks.sources.movielens import find_movielens

        return find_movielens(root, config)
    return _find_table(root, config)


def _find_table(root: Path, config: SourceConfig) -> Source:
    folder = root if root.is_dir() else root.parent
    listed = {key: _beside(folder, f"source.{key}.path", getattr(config, key).path) for key in ("users", "items")}
    taken = tuple(p for p in listed.values() if p)
    logs = find_files(root, config, "source.path", without=taken)
    files = {key: find_files(p, config, f"source.{key}.path") if p else () for key, p in listed.items()}
    users, items = config.users, config.items
    return Source(
        root,
        logs,
        config.columns,
        users=(lambda: read_listing(files["users"], USERS, users)) if files["users"] else lambda: empty_listing(USERS),
        items=(lambda: read_listing(files["items"], ITEMS, items)) if files["items"] else lambda: empty_listing(ITEMS),
        beside=tuple(f.path for key in files for f in files[key]),
        substitutes=(*event_substitutes(config, config.columns), *listing_substitutes(config)),
    )


def _beside(folder: Path, key: str, path: str) -> Path | None:
    if not path:
        return None
    found = folder / Path(path).expanduser()
    if not found.exists():
        raise UserError(f"{key}: {found} does not exist; give a path beside the log, or an absolute one")
    return found


def find_files(root: Path, config: SourceConfig, key: str, without: tuple[Path, ...] = ()) -> tuple[DataFile, ...]:
    """The CSV or Parquet files at a path, in order of name; of a folder all below it, hive partitions understood."""
    if root.is_file():
        return (_data_file(root, root.parent, config, key),)
    paths = [p for p in _walk(root) if not any(p == w or w in p.parents for w in without)]
    if not paths:
        raise UserError(f"{key}: there is no CSV or Parquet file in {root}; give the folder that has them")
    files = tuple(_data_file(p, root, config, key) for p in paths)
    if len({f.format for f in files}) > 1:
        first = {f.format: f.path for f in reversed(files)}
        raise UserError(
            f"{key}: {root} has both CSV ({first['csv']}) and Parquet ({first['parquet']}); keep one of them there"
        )
    return files


def _walk(folder: Path) -> Iterator[Path]:
    """Data files below a folder in order of name; hidden ones and bookkeeping (`_SUCCESS`, `_delta_log`) are none."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")):
            continue
        if path.is_dir():
            yield from _walk(path)
        elif _format(path):
            yield path


def _format(path: Path) -> Literal["csv", "parquet"] | None:
    plain = path.with_suffix("") if path.suffix in _PACKED else path
    return _SUFFIXES.get(plain.suffix.lower())


def _data_file(path: Path, root: Path, config: SourceConfig, key: str) -> DataFile:
    format_ = _format(path)
    if format_ is None:
        raise UserError(f"{key}: {path} is neither CSV (.csv, .tsv, .txt, packed or not) nor Parquet (.parquet, .pq)")
    relative = path.relative_to(root)
    pairs = [part.partition("=") for part in relative.parts[:-1] if "=" in part]
    partition = tuple((name, None if v == "__HIVE_DEFAULT_PARTITION__" else unquote(v)) for name, _, v in pairs)
    delimiter = config.delimiter or ("\t" if ".tsv" in path.suffixes else ",")
    return DataFile(path, relative.as_posix(), format_, delimiter, config.encoding, partition=partition)


def event_substitutes(config: SourceConfig, columns: EventColumns) -> list[str]:
    """What stands in for what an event log lacks."""
    told = ["No impressions: the ranker learns from positives and sampled negatives, and exposures are empty."]
    if config.positive_min_rating is None and config.positive_min_completion is None:
        told.append("No bar for ratings or completion: every event counts as a positive.")
    if not columns.watch_s:
        told.append("No watch time: seconds watched count as 0.")
    if not columns.completion and not (columns.watch_s and columns.duration_s):
        told.append("No completion: every watch counts as complete (1).")
    if not columns.weight:
        told.append("No weights: every event weighs 1.")
    return told


def listing_substitutes(config: SourceConfig) -> list[str]:
    """What stands in for what the users and items of a table lack."""
    told = []
    if not config.users.path:
        told.append("No users: everyone is known from their first event, and by nothing else.")
    elif not config.users.signup_date:
        told.append("No sign-up dates: everyone listed counts as known from the first day.")
    if not config.items.path:
        told.append("No items: every item is known from its first event, and by nothing else.")
    elif not config.items.uploaded_at:
        told.append("No upload dates: everything listed counts as available from the first day.")
    return told
