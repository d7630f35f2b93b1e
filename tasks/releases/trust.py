"""Who vouches for a release: nothing of it is taken, and none of its code runs, before somebody does.

A version is vouched for by the sha256 of its manifest, a tag that every release of this project has; where public keys
are pinned, by a signature of that tag as well. A folder is by the record that a pull has left in it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from expectations.errors import Failure, UserError
from expectations.files import read_json
from expectations.records import read_record
from tasks.engine.content_digest import file_sha256
from tasks.engine.lake import MANIFEST, Artifact, Lake, Ref
from tasks.registry.registry import MODEL, Version
from tasks.registry.release_layout import MANIFEST_TAG
from tasks.registry.signing import SIGNATURE_TAG, is_signed

RECORD = ".pulled.json"
"""What a target holds; a folder without it was not made by a pull."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FOLDER = re.compile(r"[a-z_0-9]+/date=\d{4}-\d{2}-\d{2}/[0-9a-zA-Z_-]+")


@dataclass(frozen=True)
class File:
    """A file of a release, by its place in the bundle."""

    name: str
    bytes: int
    sha256: str

    def matches(self, patterns: Iterable[str]) -> bool:
        return any(fnmatchcase(self.name, pattern) for pattern in patterns)

    def is_at(self, path: Path) -> bool:
        return path.is_file() and path.stat().st_size == self.bytes and file_sha256(path) == self.sha256


def vouched_manifest(version: Version, keys: Iterable[str]) -> str:
    """The sha256 that the manifest of a version must have.

    Args:
        keys: public keys, one of which must have signed; none: no signature is asked for.

    Raises:
        Failure: nobody vouches for the version.
    """
    pinned, digest = tuple(keys), version.tags.get(MANIFEST_TAG, "")
    anyway = f"if you know where it is from: nightjar pull /{version.number} --trust --to FOLDER"
    if not _DIGEST.fullmatch(digest):
        raise Failure(
            f"nobody vouches for version {version.number}: it lacks the tag {MANIFEST_TAG}, the sha256 of its manifest "
            f"that every release of Nightjar has, so neither files nor code of it are taken; {anyway}"
        )
    if pinned and not is_signed(MODEL, version.tags, pinned):
        what = "it is not signed"
        if SIGNATURE_TAG in version.tags:
            what = "its signature is of another key, or of something else"
        raise Failure(
            f"version {version.number}: {what}, and only what {' or '.join(pinned)} has signed is taken here; {anyway}"
        )
    return digest


def source_of(version: Version, tag: str) -> Ref | None:
    """Name of what a version says it was made from: `bundle`, `recommendations`, `evaluation`; None for other words."""
    folder = version.tags.get(f"nightjar.{tag}", "")
    return Ref.of(folder) if _FOLDER.fullmatch(folder) and folder.startswith(f"{tag}/") else None


def made_from(lake: Lake, version: Version, tag: str) -> Artifact | None:
    """The artifact itself; None when it is gone, or was never named."""
    ref = source_of(version, tag)
    return lake.find(ref) if ref else None


def held(target: Path) -> dict[str, Any]:
    """What a target holds; empty when there is none."""
    if not target.exists():
        return {}
    if not target.is_dir():
        raise UserError(f"{target} is a file; name a folder")
    # A damaged one stays: that it is there says whose folder this is, until the next pull writes it again.
    record = read_record(target / RECORD, _record, "a pull into its folder compares every file", stays=True)
    if record is None and not (target / RECORD).is_file() and any(target.iterdir()):
        raise UserError(f"{target} has files that no pull has put there; name a new or an empty folder")
    return record or {}


def _record(values: Any) -> dict[str, Any]:
    parts = [str(part) for part in values["parts"]]
    return {**values, "version": int(values["version"]), "registry": str(values["registry"]), "parts": parts}


def check_folder(folder: Path, record: Mapping[str, Any], keys: Iterable[str]) -> None:
    """See that a folder is what a pull has put there, before any of its code runs.

    Args:
        record: what the pull has noted.
        keys: public keys, one of which must have signed; none: no signature is asked for.

    Raises:
        UserError: nobody vouches for the folder.
        Failure: a file is missing or was changed.
    """
    again = f"fetch it again: nightjar pull --to {folder}"
    known = record.get("manifest")
    if not known:
        raise UserError(
            f"nobody vouches for {folder}: no pull has noted in its {RECORD} what it fetched; {again}, or say "
            "--trust if you know where it is from"
        )
    pinned = tuple(keys)
    tags = {**record.get("tags", {}), MANIFEST_TAG: known}
    if pinned and not is_signed(MODEL, tags, pinned):
        raise UserError(
            f"{folder}: it is not signed by {' or '.join(pinned)}, and only what is gets used here; {again}"
        )
    if not (folder / MANIFEST).is_file() or file_sha256(folder / MANIFEST) != known:
        raise Failure(f"{folder / MANIFEST}: missing, or changed since it was pulled; {again}")
    files = read_json(folder / MANIFEST)["files"]
    for name, entry in files.items():
        if not File(name, entry["bytes"], entry["sha256"]).is_at(folder / name):
            raise Failure(f"{folder / name}: missing, or changed since it was pulled; {again}")
    for path in [*(folder / "bundle").rglob("*"), folder / "bundle.py"]:
        if path.is_file() and path.relative_to(folder).as_posix() not in files and path.suffix != ".pyc":
            raise Failure(f"{path}: no file of the release, beside code of it; take it away, or {again}")
