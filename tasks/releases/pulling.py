"""Pull a release: from the registry into a folder, whole or in parts; checked, tried, and swapped in at once.

Files come to a folder beside the target and stay there when a pull ends early, so that the next one goes on. What the
target has already, of whatever version, is not fetched again. Only a folder whose every file has the hash that the
registry's version stands for takes the target's place.
"""

import ctypes
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from filelock import lock_descriptor

from expectations.errors import Failure, UserError
from expectations.files import read_json, write_json
from expectations.records import read_record
from expectations.retrying import retrying
from models.runtime.files import EVERY, patterns_by_part
from models.serving.bundle_runtime import open_bundle
from tasks.engine import fault_points
from tasks.engine.content_digest import file_sha256
from tasks.engine.lake import MANIFEST
from tasks.registry.registry import MODEL, Registry, Version
from tasks.registry.release_layout import MANIFEST_TAG
from tasks.registry.signing import DATE_TAG, SIGNATURE_TAG, Keys
from tasks.releases.trust import RECORD, File, held, vouched_manifest

PARTS = patterns_by_part()
COMMON = PARTS.pop(EVERY)
"""Patterns of each part's files, and of those that come with every part, beside the manifest."""

THREADS = 4
NUM_SMOKED = 8
"""Users who are asked for their lists before a release is taken, spread over all of them."""
WAITS_S = (0.2, 1.0, 3.0)
"""Pauses before a file is tried again: servers restart and connections break."""

Fetch = Callable[[str, Path], None]
"""Fetches a file of a version to a path."""

OnBytes = Callable[[int, int], None]
"""Called with bytes that are there, and bytes in all."""


@dataclass(frozen=True)
class Pulled:
    """What a pull did: bytes that came over, and bytes in all."""

    version: Version
    parts: tuple[str, ...]
    fetched: int
    total: int
    num_files: int


def pull(
    registry: Registry,
    version: Version,
    target: Path,
    parts: Iterable[str] = ("all",),
    on_progress: OnBytes = lambda done, total: None,
    wait: bool = False,
    keys: Iterable[str] | None = None,
    trust: bool = False,
) -> Pulled:
    """Make `target` hold parts of a version.

    Parts of the same version that it holds already stay; those of another version go.

    Args:
        parts: of `PARTS`.
        wait: for another pull into the same target, instead of refusing.
        keys: public keys, one of which must have signed the version; by default those that the home has pinned.
        trust: take the version although nobody vouches for it.

    Raises:
        UserError: the target is not for us, or somebody else pulls into it.
        Failure: nobody vouches for the version, or the registry does not give what it promised; the target is as it
            was.
    """
    if not trust:
        vouched_manifest(version, Keys(registry.home).pinned() if keys is None else keys)
    target = target.resolve()
    if target.is_mount():
        raise UserError(f"{target} is a mount point, whose place nothing can take; name a folder inside it")
    with _side(target, wait) as side:
        _finish_exchange(target)
        record = held(target)
        same = record.get("version") == version.number and record.get("registry") == registry.uri
        chosen = tuple(sorted({*_checked(parts), *(record["parts"] if same else ())}))
        chosen = ("all",) if "all" in chosen else chosen
        fetch = registry.files(version.number)
        files = _files(fetch, version, chosen, side, target)
        total = sum(f.bytes for f in files)
        told = {"registry": registry.uri, "model": MODEL, "version": version.number, "parts": list(chosen)}
        # With these a later look at the folder knows whether it is still what was vouched for.
        tags = {name: version.tags[name] for name in (DATE_TAG, SIGNATURE_TAG) if name in version.tags}
        told |= {"date": version.day, "manifest": files[0].sha256, "tags": tags}
        if same and set(chosen) == set(record["parts"]) and all(f.is_at(target / f.name) for f in files):
            shutil.rmtree(side)
            if record != told:
                write_json(target / RECORD, told)
            return Pulled(version, chosen, 0, total, len(files))
        missing = [f for f in files if not f.is_at(side / f.name) and not _copied(f, target, side)]
        _fetch(fetch, missing, side, total, on_progress)
        _drop_others(side, files)
        _keep_what_is_not_ours(target, side)
        try_release(side, chosen)
        write_json(side / RECORD, told)
        fault_points.point("pull:checked")
        swap(side, target)
        return Pulled(version, chosen, sum(f.bytes for f in missing), total, len(files))


def manifest_of(registry: Registry, version: Version) -> dict[str, Any]:
    """The manifest of a version, as it was registered.

    Raises:
        Failure: nobody vouches for it, or it is another.
    """
    vouched_manifest(version, Keys(registry.home).pinned())
    with TemporaryDirectory() as folder:
        place = Path(folder)
        _files(registry.files(version.number), version, (), place, place)
        return dict(read_json(place / MANIFEST))


def _checked(parts: Iterable[str]) -> set[str]:
    wanted = set(parts)
    if wanted - set(PARTS):
        raise UserError(f"no part {min(wanted - set(PARTS))!r}; parts: {', '.join(PARTS)}")
    return {"all"} if "all" in wanted else wanted


# --- what belongs to a release -----------------------------------------------------------------------------------


def _files(fetch: Fetch, version: Version, parts: tuple[str, ...], side: Path, target: Path) -> list[File]:
    """The files of some parts, by the manifest, which is brought to `side` first.

    The manifest must be the one that the version was registered with.
    """
    path, digest = side / MANIFEST, version.tags.get(MANIFEST_TAG)
    if digest and _has(target / MANIFEST, digest):
        shutil.copyfile(target / MANIFEST, path)
    elif not (digest and _has(path, digest)):
        _fetch_patiently(lambda: fetch(MANIFEST, path), MANIFEST)
        if digest and not _has(path, digest):  # without one it is only here when somebody trusts it all the same
            path.unlink()
            raise Failure(f"{MANIFEST} of version {version.number} is not the one that was registered: it was edited")
    try:
        listed = sorted(read_json(path)["files"].items())
        every = [File(name, entry["bytes"], entry["sha256"]) for name, entry in listed]
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"{MANIFEST} of version {version.number} cannot be read ({error})") from error
    for file in every:
        if not (side / file.name).resolve().is_relative_to(side):
            raise Failure(f"{MANIFEST} of version {version.number} names a file outside of it: {file.name}")
    for part in parts:
        if not any(f.matches(PARTS[part]) for f in every):
            raise UserError(f"version {version.number} has no {part}; pull another part")
    patterns = (*COMMON, *(pattern for part in parts for pattern in PARTS[part]))
    itself = File(MANIFEST, path.stat().st_size, file_sha256(path))
    return [itself, *(f for f in every if f.matches(patterns))]


def _has(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256


# --- bringing it here --------------------------------------------------------------------------------------------


def _copied(file: File, target: Path, side: Path) -> bool:
    """Take a file from the target, when it has the same one."""
    if not file.is_at(target / file.name):
        return False
    (side / file.name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(target / file.name, side / file.name)
    return True


def _fetch(fetch: Fetch, files: list[File], side: Path, total: int, on_progress: OnBytes) -> None:
    """Fetch files in threads; what has come whole stays whatever happens to the others."""
    needed = sum(f.bytes for f in files)
    if needed > shutil.disk_usage(side).free:
        raise Failure(f"{side.parent}: {needed / 1e6:,.0f} MB are needed; free some space and try again")
    with ThreadPoolExecutor(THREADS) as pool:
        under_way: set[Future[None]] = {pool.submit(_fetch_one, fetch, f, side) for f in files}
        while under_way:
            done, under_way = wait(under_way, 0.2, FIRST_EXCEPTION)
            on_progress(min(_size(side), total), total)
            for future in done:
                if future.exception():
                    pool.shutdown(cancel_futures=True)
                future.result()
            fault_points.point("pull:progress")
    on_progress(total, total)


def _fetch_one(fetch: Fetch, file: File, side: Path) -> None:
    path = side / file.name
    path.parent.mkdir(parents=True, exist_ok=True)

    def once() -> None:
        fetch(file.name, path)
        if not file.is_at(path):
            size = path.stat().st_size
            path.unlink()
            raise Failure(
                f"arrived damaged: {size:,} bytes instead of {file.bytes:,}, or another sha256 than the manifest's"
            )

    _fetch_patiently(once, file.name)


def _fetch_patiently(fetch: Callable[[], None], name: str) -> None:
    """Fetch a file, again after each of the waits.

    Raises:
        Failure: it did not come at the last time either.
    """
    try:
        retrying(fetch, WAITS_S, Exception)
    except Exception as error:
        raise Failure(
            f"{name}: {_first_line(error)}; the target is as it was. What has arrived is kept: the same command "
            "continues"
        ) from error


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith(("#", "The following"))]
    return (lines or [type(error).__name__])[0][:300]


def _size(folder: Path) -> int:
    """Bytes of all files in a folder that others are writing to."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                size += (Path(place) / name).stat().st_size
    return size


def _drop_others(side: Path, files: list[File]) -> None:
    """Remove what an earlier pull of another version, or one that was killed, has left."""
    wanted = {f.name for f in files}
    for path in sorted(side.rglob("*"), reverse=True):
        if path.is_dir():
            with suppress(OSError):
                path.rmdir()
        elif path.relative_to(side).as_posix() not in wanted:
            path.unlink()


def _keep_what_is_not_ours(target: Path, side: Path) -> None:
    """Take along what somebody has put beside a release: files, links, empty folders that its manifest does not have.

    Raises:
        UserError: the new release has a file in such a place.
    """
    if not (target / MANIFEST).exists():
        return
    # Without its manifest nobody knows which files were the release's: those that the new one has are taken for such.
    lost = "files that the new release does not have are kept beside it"
    listed = read_record(target / MANIFEST, lambda manifest: list(manifest["files"]), lost, stays=True)
    ours = {*(listed or ()), MANIFEST, RECORD}
    for path in target.rglob("*"):
        name = path.relative_to(target)
        if name.as_posix() in ours or "__pycache__" in name.parts:
            continue
        kept = side / name
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                kept.mkdir(parents=True, exist_ok=True)
            continue
        if os.path.lexists(kept) or any((side / parent).is_file() for parent in name.parents):
            if listed is None:
                continue
            raise UserError(
                f"{path} is no file of the release that {target} holds, and the one that is pulled has a file there: "
                "move yours elsewhere, or pull into another folder; nothing was replaced"
            )
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, kept, follow_symlinks=False)


def try_release(folder: Path, parts: tuple[str, ...]) -> None:
    """A smoke query to a whole bundle, for several users; of parts, every file is opened by what will read it.

    Raises:
        Failure: it cannot be used; names what and why.
    """
    import numpy as np

    try:
        if "all" in parts:
            bundle = open_bundle(folder, verify=False)
            known = bundle.user_ids
            users = known[np.unique(np.linspace(0, len(known) - 1, NUM_SMOKED).astype(int))] if len(known) else known
            results = (bundle.recommend(users.tolist()), bundle.recommend_for_history([]))
            scores = np.concatenate([result.table["score"].to_numpy() for result in results])
            # One who has seen everything has an empty list; that nobody has one is the release's fault.
            if not len(scores) or not np.isfinite(scores).all():
                raise Failure(
                    f"the smoke query gave nothing but empty lists to {len(users)} users and to somebody new, "
                    "or scores that are no numbers"
                )
        else:
            _open_parts(folder)
    except Failure:
        raise
    except Exception as error:
        raise Failure(f"the release does not work here: {_first_line(error)}; the target is as it was") from error


def _open_parts(folder: Path) -> None:
    import faiss
    import numpy as np
    import pyarrow.parquet as pq

    from models.onnx_runtime import onnxruntime
    from models.runtime.manifest import check_faiss, check_towers

    if (folder / "index").is_dir():
        check_towers(folder, manifest := read_json(folder / MANIFEST))
        check_faiss(folder, manifest)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.suffix == ".parquet":
            pq.ParquetFile(path)
        elif path.suffix == ".onnx":
            onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        elif path.suffix == ".faiss":
            index = faiss.read_index(str(path))
            index.search(np.zeros((1, index.d), np.float32), 1)


# --- the target --------------------------------------------------------------------------------------------------


@contextmanager
def _side(target: Path, wait: bool = False) -> Iterator[Path]:
    """The folder beside a target in which its next content is put together, held for this process alone.

    The lock is on the folder itself and goes with it into the target's place, or with the process.
    """
    side = target.with_name(f".{target.name}.pulling")
    try:
        side.mkdir(parents=True, exist_ok=True)
        lock = os.open(side, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"{target} cannot be written ({error.strerror}); name another folder") from error
    try:
        mine = lock_descriptor(lock, blocking=wait)
        if not mine or not side.exists() or os.fstat(lock).st_ino != side.stat().st_ino:
            raise BlockingIOError
        yield side
    except BlockingIOError:
        raise UserError(f"another pull into {target} is under way; wait for its end") from None
    finally:
        os.close(lock)
        with suppress(OSError):
            if [p.name for p in side.iterdir()] == [MANIFEST]:
                (side / MANIFEST).unlink()
            side.rmdir()


def swap(side: Path, target: Path) -> None:
    """Put a folder in the place of another in one step; what was there is deleted."""
    if not target.exists():
        side.rename(target)
        return
    _exchange(side, target)
    fault_points.point("pull:swapped")
    shutil.rmtree(side)


def _exchange(a: Path, b: Path) -> None:
    """Exchange two folders: in one step where the file system can (Linux: renameat2), else in three."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None, use_errno=True)
        here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
        if libc.renameat2(here, os.fsencode(a), here, os.fsencode(b), exchange) == 0:
            return
    aside = _before(b)
    b.rename(aside)
    fault_points.point("pull:between")
    a.rename(b)
    aside.rename(a)


def _before(target: Path) -> Path:
    """Where a target is while its successor takes its place in three steps."""
    return target.with_name(f".{target.name}.before")


def _finish_exchange(target: Path) -> None:
    """Undo or finish an exchange in three steps that was killed between them."""
    before = _before(target)
    if before.exists() and target.exists():
        shutil.rmtree(before)
    elif before.exists():
        before.rename(target)
