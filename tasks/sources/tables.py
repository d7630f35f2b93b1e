"""A table: files of one format with the columns that the config names."""

from dataclasses import fields
from pathlib import Path

from expectations.datasets import ITEMS, USERS
from expectations.errors import UserError
from expectations.substitutes import Substitute
from tasks.sources.config import FileBeside, SourceConfig, TextFile
from tasks.sources.data_files import Found, find_files
from tasks.sources.discovery import Source, event_substitutes, find_root
from tasks.sources.folders import check_link, real
from tasks.sources.listings import empty_listing, read_listing

BESIDE = ("users", "items", "impressions", "actions", "searches")
"""Sections of the settings of what is beside the log of plays."""

_LISTINGS = "tasks.sources.listings:read_listing", "tasks.sources.listings:empty_listing"


def find_table(config: SourceConfig, home: Path) -> Source:
    """Find the files of a table.

    Raises:
        UserError: something is missing, empty or of no known form.
    """
    for key in ("", *BESIDE):
        of = getattr(config, key) if key else config
        _refuse_relation(f"source.{key}" if key else "source", of.table, of.query)
    root = find_root(config)
    folder = root if root.is_dir() else root.parent
    of_plays = ("impressions",) if config.clicks_are_plays else ()
    paths = {
        key: root if key in of_plays else beside(folder, f"source.{key}.path", getattr(config, key).path)
        for key in BESIDE
    }
    taken = tuple(p for p in paths.values() if p and p != root)
    logs = Found(())
    if not config.clicks_are_plays:
        logs = find_files(root, text_of(config, config), "source", config.snapshot, without=taken, strict=config.strict)
    found = {
        key: files_beside(path, getattr(config, key), config, f"source.{key}", taken) if path else Found(())
        for key, path in paths.items()
    }
    return listed_source(str(root), logs, found, config)


def _refuse_relation(key: str, table: str, query: str) -> None:
    if table or query:
        raise UserError(f"{key}: table and query are for a database; set source.kind to sql, or leave them out")


def listed_source(place: str, logs: Found, found: dict[str, Found], config: SourceConfig) -> Source:
    """A source of log files, and of those of what is `BESIDE` it, which may be none."""
    users, items = config.users, config.items
    of_users, of_items = found["users"].files, found["items"].files
    return Source(
        place,
        logs.files,
        config.columns,
        users=(lambda: read_listing(of_users, USERS, users)) if of_users else lambda: empty_listing(USERS),
        items=(lambda: read_listing(of_items, ITEMS, items)) if of_items else lambda: empty_listing(ITEMS),
        beside=tuple(f.path for f in (*of_users, *of_items)),
        members=tuple(f.member.identity for f in (*of_users, *of_items) if f.member),
        readers=(*_LISTINGS, *sorted({f.format.read_at for f in (*of_users, *of_items)})),
        substitutes=(*event_substitutes(config, config.columns), *_listing_substitutes(config)),
        notes=(*logs.notes, *(note for one in found.values() for note in one.notes)),
        logs_beside={key: one.files for key, one in found.items() if key not in ("users", "items") and one.files},
    )


def beside(folder: Path, key: str, path: str) -> Path | None:
    """A path beside the log, or an absolute one; None where there is none.

    Raises:
        UserError: nothing is there.
    """
    if not path:
        return None
    found = folder / Path(path).expanduser()
    check_link(found, key)
    if not found.exists():
        raise UserError(f"{key}: {found} does not exist; give a path beside the log, or an absolute one")
    return real(found)


def files_beside(path: Path, own: FileBeside, config: SourceConfig, key: str, taken: tuple[Path, ...] = ()) -> Found:
    """The files at a path beside the log, but for those at paths of others."""
    others = tuple(other for other in taken if other != path)
    return find_files(path, text_of(own, config), key, own.snapshot, without=others, strict=config.strict)


def text_of(of: TextFile, config: SourceConfig) -> TextFile:
    """How the files of the log, or of a listing, are cut into fields; one without an encoding has that of the log."""
    names = [f.name for f in fields(TextFile)]
    return TextFile(**{**{n: getattr(of, n) for n in names}, "encoding": of.encoding or config.encoding})


def _listing_substitutes(config: SourceConfig) -> list[Substitute]:
    """What stands in for what the users and items of a table lack."""
    users, items = config.users.is_named, config.items.is_named
    lacks = {
        "no_users": not users,
        "no_signup_dates": users and not config.users.signup_date,
        "no_items": not items,
        "no_upload_dates": items and not config.items.uploaded_at,
    }
    return [Substitute(name) for name, lacking in lacks.items() if lacking]
