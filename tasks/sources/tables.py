"""A table: files of one format with the columns that the config names."""

from dataclasses import fields
from pathlib import Path

from expectations.datasets import ITEMS, USERS
from expectations.errors import UserError
from expectations.substitutes import Substitute
from tasks.sources.config import ItemsFile, SourceConfig, TextFile, UsersFile
from tasks.sources.discovery import Source, event_substitutes, find_root
from tasks.sources.finding import Found, find_files
from tasks.sources.folders import check_link, real
from tasks.sources.listings import empty_listing, read_listing

_LISTINGS = "tasks.sources.listings:read_listing", "tasks.sources.listings:empty_listing"


def find_table(config: SourceConfig, home: Path) -> Source:
    """Find the files of a table.

    Raises:
        UserError: something is missing, empty or of no known form.
    """
    root = find_root(config)
    _refuse_relation("source", config.table, config.query)
    _refuse_relation("source.users", config.users.table, config.users.query)
    _refuse_relation("source.items", config.items.table, config.items.query)
    folder = root if root.is_dir() else root.parent
    listed = {key: beside(folder, f"source.{key}.path", getattr(config, key).path) for key in ("users", "items")}
    taken = tuple(p for p in listed.values() if p)
    logs = find_files(root, text_of(config, config), "source", config.snapshot, without=taken, strict=config.strict)
    found = {
        key: listed_files(path, getattr(config, key), config, f"source.{key}") if path else Found(())
        for key, path in listed.items()
    }
    return listed_source(str(root), logs, found, config)


def _refuse_relation(key: str, table: str, query: str) -> None:
    if table or query:
        raise UserError(f"{key}: table and query are for a database; set source.kind to sql, or leave them out")


def listed_source(place: str, logs: Found, found: dict[str, Found], config: SourceConfig) -> Source:
    """A source of log files, and of those of its `users` and `items`, which may be none."""
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


def listed_files(path: Path, own: UsersFile | ItemsFile, config: SourceConfig, key: str) -> Found:
    """The files of users or items at a path."""
    return find_files(path, text_of(own, config), key, own.snapshot, strict=config.strict)


def text_of(of: TextFile, config: SourceConfig) -> TextFile:
    """How the files of the log, or of a listing, are cut into fields; one without an encoding has that of the log."""
    names = [f.name for f in fields(TextFile)]
    return TextFile(**{**{n: getattr(of, n) for n in names}, "encoding": of.encoding or config.encoding})


def _listing_substitutes(config: SourceConfig) -> list[Substitute]:
    """What stands in for what the users and items of a table lack."""
    users, items = (bool(one.path or one.table or one.query) for one in (config.users, config.items))
    lacks = {
        "no_users": not users,
        "no_signup_dates": users and not config.users.signup_date,
        "no_items": not items,
        "no_upload_dates": items and not config.items.uploaded_at,
    }
    return [Substitute(name) for name, lacking in lacks.items() if lacking]
