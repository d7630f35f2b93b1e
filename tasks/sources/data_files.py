"""The data files at a path: told apart by their names where these say something, else by their first bytes."""

import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from urllib.parse import unquote

from expectations.errors import UserError
from tasks.sources import streams
from tasks.sources.config import TextFile
from tasks.sources.folders import files_below, refuse_copies
from tasks.sources.formats import CSV, JSON, NETFLIX, PARQUET, TEXTS, Format, by_name, endings, titles
from tasks.sources.netflix_files import BEGINNING
from tasks.sources.reading import UNREADABLE, DataFile
from tasks.sources.table_formats import table_files

_HEAD_BYTES = 1 << 12
_ABOUT = re.compile(
    r"(readme|licen[sc]e|changelog|notice|citation|copying|manifest|metadata)\b.*|.*\.(md|rst|pdf|html?|crc|md5|sha\d+)"
)
"""Names of files that are about the data beside them, but for those that end as data do."""


@dataclass(frozen=True)
class Found:
    """Data files in order of name, and what is to be said of others that are there."""

    files: tuple[DataFile, ...]
    notes: tuple[str, ...] = ()


def find_files(
    root: Path,
    text: TextFile,
    key: str,
    snapshot: str = "",
    without: tuple[Path, ...] = (),
    strict: bool = True,
    mixed: bool = False,
) -> Found:
    """The files of data at a path; of a folder all below it, hive partitions understood; of a table what it has.

    Args:
        key: section of the settings that named the path, for messages.
        snapshot: state of a table that was asked for.
        without: files and folders that are something else.
        strict: refuse what is called like a copy.
        mixed: files may be of several formats.

    Raises:
        UserError: there is none, there are several formats, a link leads nowhere or in a circle, a table is unreadable.
    """
    if members := table_files(root, f"{key}.path", snapshot):
        read = next(f.member.snapshot for f in members if f.member)
        return Found(members, (f"{key}.path: read as {read}.",))
    if root.is_file():
        made = _data_files(root, root.parent, text, key, named=True)
        if not made:
            raise UserError(f"{key}.path: {root} is none of {endings()}")
        return _found(root, key, made, ())
    files: list[DataFile] = []
    left: list[str] = []
    for path in files_below(root, f"{key}.path", without):
        made = [] if _is_about(path) else _data_files(path, root, text, key)
        files.extend(made)
        if not made:
            left.append(path.relative_to(root).as_posix())
    if not files:
        raise UserError(f"{key}.path: there is no {titles('or')} file in {root}; give the folder that has them")
    if strict:
        refuse_copies([f.path for f in files], f"{key}.path")
    return _found(root, key, files, left, mixed)


def _found(root: Path, key: str, files: list[DataFile], left: Sequence[str], mixed: bool = False) -> Found:
    first = {f.format.title: f.where for f in reversed(files)}
    if len(first) > 1 and not mixed:
        both = " and ".join(f"{title} ({path})" for title, path in sorted(first.items()))
        raise UserError(f"{key}.path: {root} has both {both}; keep one of them there")
    notes = []
    if left:
        more = f" and {len(left) - 5} more" if len(left) > 5 else ""
        notes.append(f"Left alone in {root}, as no data: {', '.join(left[:5])}{more}.")
    packed = [f for f in files if f.entry]
    if packed:
        more = f" and {len(packed) - 3} more" if len(packed) > 3 else ""
        notes.append(f"Taken from archives: {', '.join(f'{f.entry} of {f.path.name}' for f in packed[:3])}{more}.")
    return Found(tuple(files), tuple(notes))


def _data_files(path: Path, root: Path, text: TextFile, key: str, named: bool = False) -> list[DataFile]:
    """The file, or the data files in it if it is an archive; none if it is no data.

    Args:
        named: it was given by its own path, so that what it is does not depend on its ending.
    """
    relative = path.relative_to(root)
    pairs = [part.partition("=") for part in relative.parts[:-1] if "=" in part]
    partition = tuple((name, None if v == "__HIVE_DEFAULT_PARTITION__" else unquote(v)) for name, _, v in pairs)
    made = []
    for entry in _entries(path):
        format_ = _format(path, entry, named or bool(entry))
        if format_:
            name = f"{relative.as_posix()}/{entry}" if entry else relative.as_posix()
            made.append(DataFile(path, name, format_, text, key, entry, partition))
    return made


def _entries(path: Path) -> list[str]:
    """Files in an archive, or nothing by that name for the file itself."""
    if path.suffix.lower() != ".zip":
        return [""]
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(one.filename for one in archive.infolist() if not one.is_dir())
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{path}: not readable as a zip archive ({error}); write it again, or unpack it") from error
    return [n for n in names if not any(p.startswith((".", "_")) for p in PurePath(n).parts) and not _is_about(n)]


def _is_about(path: Path | str) -> bool:
    """Whether a file is about data: `metadata.txt` and `manifest.json` are, `metadata.csv` is data."""
    name = PurePath(path).name.lower()
    is_data = by_name(_suffixes(name)) and not name.endswith(".json")
    return bool(_ABOUT.fullmatch(name)) and not is_data


def _suffixes(path: Path | str) -> list[str]:
    return [suffix.lower() for suffix in PurePath(path).suffixes]


def _format(path: Path, entry: str, named: bool) -> Format | None:
    suffixes = _suffixes(entry or path)
    known = by_name(suffixes)
    if known is PARQUET or (known and not path.stat().st_size):
        return known
    if not (known or named or not suffixes or any(s in TEXTS for s in suffixes)):
        return None
    try:
        head = streams.head_of(path, entry, _HEAD_BYTES)
    except UNREADABLE:
        # Who reads it says so.
        return known or (CSV if named else None)
    if head.startswith(b"PAR1"):
        return PARQUET
    return known or _by_content(head)


def _by_content(head: bytes) -> Format | None:
    begin = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if begin.startswith((b"{", b"[{", b"[\n", b"[\r", b"[ ")):
        return JSON
    if BEGINNING.match(begin):
        return NETFLIX
    encoding, mark = streams.encoding_of(head, "utf-8", "")
    text = head[mark : len(head) // 4 * 4 or None].decode(encoding, errors="replace")
    return CSV if text.strip() and not streams.is_binary(text) else None
