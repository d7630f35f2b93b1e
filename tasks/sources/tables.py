"""A table: files of one format with the columns that the config names."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from urllib.parse import unquote

from expectations.datasets import ITEMS, USERS
from expectations.errors import UserError
from expectations.substitutes import Substitute
from tasks.sources.config import SourceConfig, TextFile
from tasks.sources.discovery import Source, event_substitutes
from tasks.sources.formats import FORMATS, Format, endings, titles
from tasks.sources.listings import empty_listing, read_listing
from tasks.sources.reading import DataFile

_LISTINGS = "tasks.sources.listings:read_listing", "tasks.sources.listings:empty_listing"


def find_table(root: Path, config: SourceConfig) -> Source:
    """Find the files of a table.

    Raises:
        UserError: something is missing, empty or of no known form.
    """
    folder = root if root.is_dir() else root.parent
    listed = {key: _beside(folder, f"source.{key}.path", getattr(config, key).path) for key in ("users", "items")}
    taken = tuple(p for p in listed.values() if p)
    logs = find_files(root, _text(config, config), "source", without=taken)
    texts = {key: getattr(config, key) for key in listed}
    files = {key: find_files(p, _text(texts[key], config), f"source.{key}") if p else () for key, p in listed.items()}
    users, items = config.users, config.items
    return Source(
        root,
        logs,
        config.columns,
        users=(lambda: read_listing(files["users"], USERS, users)) if files["users"] else lambda: empty_listing(USERS),
        items=(lambda: read_listing(files["items"], ITEMS, items)) if files["items"] else lambda: empty_listing(ITEMS),
        beside=tuple(f.path for key in files for f in files[key]),
        readers=(*_LISTINGS, *sorted({f.format.read_at for key in files for f in files[key]})),
        substitutes=(*event_substitutes(config, config.columns), *_listing_substitutes(config)),
    )


def _beside(folder: Path, key: str, path: str) -> Path | None:
    if not path:
        return None
    found = folder / Path(path).expanduser()
    if not found.exists():
        raise UserError(f"{key}: {found} does not exist; give a path beside the log, or an absolute one")
    return found


def find_files(root: Path, text: TextFile, key: str, without: tuple[Path, ...] = ()) -> tuple[DataFile, ...]:
    """The files of data at a path, in order of name; of a folder all below it, hive partitions understood."""
    if root.is_file():
        return (_data_file(root, root.parent, text, key),)
    paths = [p for p in _walk(root) if not any(p == w or w in p.parents for w in without)]
    if not paths:
        raise UserError(f"{key}.path: there is no {titles('or')} file in {root}; give the folder that has them")
    files = tuple(_data_file(p, root, text, key) for p in paths)
    first = {f.format.title: f.path for f in reversed(files)}
    if len(first) > 1:
        both = " and ".join(f"{title} ({path})" for title, path in sorted(first.items()))
        raise UserError(f"{key}.path: {root} has both {both}; keep one of them there")
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


def _format(path: Path) -> Format | None:
    plain = path.with_suffix("")
    for one in FORMATS:
        if path.suffix.lower() in one.suffixes or (path.suffix in one.packed and plain.suffix.lower() in one.suffixes):
            return one
    return None


def _data_file(path: Path, root: Path, text: TextFile, key: str) -> DataFile:
    format_ = _format(path)
    if format_ is None:
        raise UserError(f"{key}.path: {path} is none of {endings()}")
    relative = path.relative_to(root)
    pairs = [part.partition("=") for part in relative.parts[:-1] if "=" in part]
    partition = tuple((name, None if v == "__HIVE_DEFAULT_PARTITION__" else unquote(v)) for name, _, v in pairs)
    return DataFile(path, relative.as_posix(), format_, text, key, partition=partition)


def _text(of: TextFile, config: SourceConfig) -> TextFile:
    """How the files of the log, or of a listing, are cut into fields; one without an encoding has that of the log."""
    names = [f.name for f in fields(TextFile)]
    return TextFile(**{**{n: getattr(of, n) for n in names}, "encoding": of.encoding or config.encoding})


def _listing_substitutes(config: SourceConfig) -> list[Substitute]:
    """What stands in for what the users and items of a table lack."""
    lacks = {
        "no_users": not config.users.path,
        "no_signup_dates": config.users.path and not config.users.signup_date,
        "no_items": not config.items.path,
        "no_upload_dates": config.items.path and not config.items.uploaded_at,
    }
    return [Substitute(name) for name, lacking in lacks.items() if lacking]
