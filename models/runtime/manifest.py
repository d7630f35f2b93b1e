"""Whether a folder is a bundle that may be used: every file whole, all of one training, readable by this faiss."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faiss

from .errors import BundleError
from .files import FORMAT, REQUIRED


def read_json(path: Path) -> Any:
    """What a JSON file says."""
    return json.loads(path.read_text())


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """Digest of all that the manifest says but this digest itself."""
    said = {name: value for name, value in manifest.items() if name != "digest"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def check(folder: Path, verify: bool = True) -> dict[str, Any]:
    """The manifest of a bundle that may be used.

    Args:
        verify: compare the sha256 of every file, not only that it is there in its full size.

    Raises:
        BundleError: a file is missing, damaged or edited, the layout is of another version, the index comes from other
            towers than those in the bundle, or it was written by a newer faiss than this one.
    """
    try:
        manifest: dict[str, Any] = read_json(folder / "manifest.json")
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder / 'manifest.json'}: cannot be read ({error}); fetch the bundle again") from error
    if manifest_digest(manifest) != manifest.get("digest"):
        raise BundleError(f"{folder / 'manifest.json'}: was edited after it was written; fetch the bundle again")
    if (told := manifest.get("format", 0)) != FORMAT:
        raise BundleError(
            f"{folder / 'manifest.json'}: of format {told}, {'later' if told > FORMAT else 'earlier'} than this "
            f"runtime's ({FORMAT}); use the runtime that the folder brings"
        )
    for name in (*REQUIRED, *manifest["files"]):
        _check_file(folder / name, manifest["files"].get(name), verify)
    for source in read_json(folder / "sources.json"):
        for name in source["files"]:
            _check_file(folder / name, manifest["files"].get(name), verify=False)
    check_towers(folder, manifest)
    check_faiss(folder, manifest)
    return manifest


def check_unchanged(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise BundleError when another release has taken the folder's place since its manifest was read."""
    try:
        there = read_json(folder / "manifest.json")
    except (OSError, ValueError):
        there = None
    if there != manifest:
        raise BundleError(f"{folder}: was replaced while it was being loaded; load it again")


def _check_file(path: Path, entry: Mapping[str, Any] | None, verify: bool) -> None:
    if entry is None:
        raise BundleError(f"{path}: not in the manifest, which must list it; fetch the bundle again")
    if not path.is_file():
        raise BundleError(f"{path}: missing; fetch the bundle again")
    if path.stat().st_size != entry["bytes"]:
        raise BundleError(
            f"{path}: {path.stat().st_size:,} bytes instead of {entry['bytes']:,}; fetch the bundle again"
        )
    if verify and sha256(path) != entry["sha256"]:
        raise BundleError(f"{path}: damaged, its sha256 is not the manifest's; fetch the bundle again")


def check_towers(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise BundleError when the index comes from other towers than the bundle."""
    towers, built_from = manifest["tower_digest"], read_json(folder / "index" / "index.json")["tower_digest"]
    if built_from != towers:
        raise BundleError(
            f"{folder / 'index'}: built from towers {built_from[:12]}, but the bundle has towers {towers[:12]}; "
            "queries would not fit the index: use an index and towers of one training"
        )


def check_faiss(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise BundleError when the index was written by a newer faiss than this one."""
    made, here = manifest["versions"]["faiss"], faiss.__version__
    if _version(made) > _version(here):
        raise BundleError(f"{folder / 'index'}: written by faiss {made}, but this is {here}; install faiss-cpu=={made}")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3])
