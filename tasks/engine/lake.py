"""The lake: where artifacts live, and the only code that puts one there or moves one.

    <lake>/<dataset>/date=<D>/<key>/part-00000.parquet ... manifest.json, run.json

A folder without a manifest does not exist. On a local file system an artifact appears by one rename; in an object
store its manifest is written last. Knows nothing of Prefect or Great Expectations.
"""

import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from expectations.datasets import DATASETS
from expectations.errors import UserError
from expectations.files import place, read_json, write_json
from expectations.locks import lock
from expectations.records import DAMAGED, record_from, text_of
from tasks.engine import claims
from tasks.engine.content_digest import files_sha256
from tasks.machine.processes import owner_is_alive, owner_tag

if TYPE_CHECKING:
    from obstore.store import ObjectStore

MANIFEST = "manifest.json"
DIGEST = "digest"
"""Entry of a manifest: its own digest."""

RUN = "run.json"
SCHEMA_VERSION = 2
"""Version of the schemas that outside readers see through the `current` pointers; raised when one changes.

1: until outside ids stood in `recommendations` and the embeddings. 2: they do, after the columns that were there.
"""


Made = TypeVar("Made")


@dataclass(frozen=True, order=True)
class Ref:
    """Name of an artifact, whether or not it stands: dataset, logical date (ISO) and key."""

    dataset: str
    date: str
    key: str

    @property
    def folder(self) -> str:
        """Path below the lake."""
        return f"{self.dataset}/date={self.date}/{self.key}"

    @classmethod
    def of(cls, folder: str) -> "Ref":
        """The one whose `folder` this is."""
        dataset, date, key = folder.split("/")[:3]
        return cls(dataset, date.removeprefix("date="), key)


@dataclass(frozen=True)
class Artifact:
    """An artifact, from the moment it is planned; what is in it can be read once it stands.

    Attributes:
        at: folder on local disk with its files; None while it is planned, as in all that is given to a stage in a plan.
    """

    ref: Ref
    at: Path | None = None

    @property
    def path(self) -> Path:
        """Folder with its files."""
        assert self.at, f"{self.ref.folder} is planned: only a stage that it is given to can read it, when that runs"
        return self.at

    @property
    def dataset(self) -> str:
        return self.ref.dataset

    @property
    def date(self) -> str:
        return self.ref.date

    @property
    def key(self) -> str:
        return self.ref.key

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return read_json(self.path / MANIFEST)

    @property
    def notes(self) -> dict[str, Any]:
        """Small facts that its stage noted."""
        return dict(self.manifest.get("notes", {}))

    @property
    def rows(self) -> int:
        return int(self.manifest["rows"])

    @property
    def content_digest(self) -> str:
        return str(self.manifest["content_digest"])

    @property
    def run(self) -> dict[str, Any]:
        """What is not deterministic: seconds, memory, host."""
        path = self.path / RUN
        return read_json(path) if path.exists() else {}

    @property
    def files(self) -> list[Path]:
        """Its Parquet parts, in order."""
        return sorted(self.path.glob("*.parquet"))

    def table(self, columns: list[str] | None = None) -> pa.Table:
        """All rows in the declared schema, or some columns of them."""
        return read_parts(self.files, DATASETS[self.dataset].schema, columns)


def read_parts(files: Iterable[Path], schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """Read Parquet parts as one table, cast to `schema` (writers differ in the names of list elements, say)."""
    wanted = pa.schema([schema.field(c) for c in columns]) if columns else schema
    tables = [pq.read_table(f, columns=wanted.names).cast(wanted) for f in files]
    return pa.concat_tables(tables) if tables else wanted.empty_table()


_NO_MANIFEST = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What is raised by reading something else as one."""


def sealed(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest with its own digest, by which it is noticed when it was edited."""
    return {**manifest, DIGEST: _digest_of(manifest)}


def _checked(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest as it was read. Those that earlier versions made have no digest.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is none, or not as it was made.
    """
    for entry in manifest["files"].values():
        if not isinstance(entry["bytes"], int) or not isinstance(entry["sha256"], str):
            raise TypeError("no facts of a file")
    if DIGEST in manifest and manifest[DIGEST] != _digest_of(manifest):
        raise ValueError("it was changed since it was made")
    return manifest


def _digest_of(manifest: dict[str, Any]) -> str:
    """Sha256 of what is in it beside the digest, as it comes back from a file."""
    text = json.dumps({name: value for name, value in manifest.items() if name != DIGEST}, default=str)
    return hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode()).hexdigest()


def _is_record(info: fs.FileInfo) -> bool:
    return bool(info.is_file) and info.base_name.endswith(".json") and not info.base_name.startswith(".")


@dataclass(frozen=True)
class Lake:
    """A lake at a URL (`file://`, `s3://`, `gs://`, `abfs://` or a path), with local scratch for what is remote."""

    url: str
    scratch: Path

    @cached_property
    def _store(self) -> tuple[fs.FileSystem, str]:
        try:
            url = self.url if "://" in self.url else Path(self.url).resolve().as_uri()
            store, root = fs.FileSystem.from_uri(url.replace("az://", "abfs://"))
        except (ValueError, pa.ArrowInvalid) as error:
            raise UserError(
                f"lake: {self.url!r} is no lake URL ({error}); use a folder, s3://bucket/prefix, gs:// or abfs://"
            ) from error
        if not root.strip("/"):
            raise UserError(f"lake: {self.url!r} names no folder or bucket; write s3://bucket/prefix or a path")
        return store, root.rstrip("/")

    @property
    def is_local(self) -> bool:
        return isinstance(self._store[0], fs.LocalFileSystem)

    @cached_property
    def root(self) -> Path:
        """Local folder in which folders are made before they are published, and the lake itself when it is local."""
        return Path(self._store[1]) if self.is_local else self.scratch

    # --- reading -----------------------------------------------------------------------------------------------

    def find(self, ref: Ref) -> Artifact | None:
        """The artifact, verified, or None when it is missing or damaged (`condition` says which)."""
        return Artifact(ref, self.local(ref)) if self.condition(ref) == "present" else None

    def condition(self, ref: Ref) -> str:
        """`present`, `missing`, or `damaged: <file>`; every file's sha256 is compared with the manifest.

        Of a remote artifact the sizes in the store and the hashes of the local copy; a copy that is damaged is fetched
        anew.
        """
        if self.is_local:
            return self._condition(ref)
        if not self._download(ref):
            return "missing"
        if self._condition(ref) != "present":
            self.discard(self.local(ref))
            if not self._download(ref):
                return "missing"
        return self._cut_short(ref) or self._condition(ref)

    def _cut_short(self, ref: Ref) -> str:
        """`damaged: <file>` when a file of the store has another size than the manifest says, or is not there."""
        store, root = self._store
        infos = store.get_file_info(fs.FileSelector(f"{root}/{ref.folder}", recursive=True, allow_not_found=True))
        sizes = {i.path.removeprefix(f"{root}/{ref.folder}/"): i.size for i in infos if i.is_file}
        files = (self.manifest(ref) or {}).get("files", {})
        return next((f"damaged: {n}" for n, facts in files.items() if sizes.get(n) != facts["bytes"]), "")

    def _condition(self, ref: Ref) -> str:
        folder = self.local(ref)
        try:
            files = _checked(json.loads((folder / MANIFEST).read_bytes()))["files"]
        except FileNotFoundError:
            return "missing"
        except _NO_MANIFEST:
            return f"damaged: {MANIFEST}"
        for name, entry in files.items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != entry["bytes"]:
                return f"damaged: {name}"
        hashes = files_sha256(folder / name for name in files)
        wrong = [n for n, h in zip(files, hashes, strict=True) if h != files[n]["sha256"]]
        return f"damaged: {wrong[0]}" if wrong else "present"

    def manifest(self, ref: Ref) -> dict[str, Any] | None:
        """The manifest of an artifact, of whose files nothing is read; None when it is missing or damaged."""
        try:
            text = self._read(f"{ref.folder}/{MANIFEST}")
            return _checked(json.loads(text))
        except (FileNotFoundError, *_NO_MANIFEST):
            return None

    def _read(self, name: str) -> bytes:
        """The bytes of a small file of the lake."""
        store, root = self._store
        with store.open_input_stream(f"{root}/{name}") as stream:
            return bytes(stream.read())

    def stands(self, ref: Ref) -> bool:
        """Whether a manifest is there; a quick look that does not hash the files."""
        store, root = self._store
        return bool(store.get_file_info(f"{root}/{ref.folder}/{MANIFEST}").is_file)

    def published(self, ref: Ref) -> float | None:
        """When it was published, seconds since 1970 by the store's clock; None when it is not there."""
        store, root = self._store
        info = store.get_file_info(f"{root}/{ref.folder}/{MANIFEST}")
        return info.mtime_ns / 1e9 if info.is_file else None

    def dates(self, dataset: str) -> list[str]:
        """Dates that have an artifact of the dataset, ascending."""
        return sorted({r.date for r in self.refs(dataset)})

    def refs(self, dataset: str, date: str | None = None) -> list[Ref]:
        """Every artifact of a dataset (of one date), the last published last."""
        store, root = self._store
        base = f"{root}/{dataset}" + (f"/date={date}" if date else "")
        infos = store.get_file_info(fs.FileSelector(base, recursive=True, allow_not_found=True))
        found = [i for i in infos if i.base_name == MANIFEST and i.path.count("/") == root.count("/") + 4]
        found.sort(key=lambda i: (i.mtime_ns or 0, i.path))
        return [self._ref(i.path.removeprefix(root + "/")) for i in found]

    def unfinished(self) -> list[Ref]:
        """What uploads that were interrupted have left in a remote lake: files, and no manifest."""
        if self.is_local:
            return []
        store, root = self._store
        left = set[Ref]()
        for dataset in DATASETS:
            infos = store.get_file_info(fs.FileSelector(f"{root}/{dataset}", recursive=True, allow_not_found=True))
            paths = [i.path.removeprefix(root + "/") for i in infos if i.is_file]
            left |= {self._ref(path) for path in paths if path.count("/") >= 3}
            left -= {self._ref(path) for path in paths if path.endswith(f"/{MANIFEST}")}
        return sorted(left, key=lambda ref: ref.folder)

    @staticmethod
    def _ref(path: str) -> Ref:
        dataset, date, key = path.split("/")[:3]
        return Ref(dataset, date.removeprefix("date="), key)

    def local(self, ref: Ref) -> Path:
        """Folder on local disk that holds the artifact, or would."""
        return self.root / ref.folder if self.is_local else self.scratch / "copies" / ref.folder

    def _download(self, ref: Ref) -> bool:
        """Bring a remote artifact to scratch, unless the same is there; False when the store has none."""
        try:
            manifest = self._read(f"{ref.folder}/{MANIFEST}")
        except FileNotFoundError:
            return False
        store, root = self._store
        folder = self.local(ref)
        if not (folder / MANIFEST).exists() or (folder / MANIFEST).read_bytes() != manifest:
            self.discard(folder)
            aside = self.aside()
            fs.copy_files(f"{root}/{ref.folder}", str(aside), source_filesystem=store)
            place(aside, folder, MANIFEST)
        return True

    # --- writing -----------------------------------------------------------------------------------------------

    def aside(self) -> Path:
        """A new empty folder, named after this process, in which to prepare an artifact."""
        folder = self.root / ".staging" / f"{owner_tag()}-{uuid.uuid4().hex[:8]}"
        folder.mkdir(parents=True)
        return folder

    def publish(self, ref: Ref, folder: Path) -> Artifact:
        """Move a prepared folder (with its manifest) into place. The first to publish a key wins."""
        local, state = self.local(ref), self.condition(ref)
        if state != "present":
            self.remove(ref)  # with what an upload that was interrupted has left
            if not self.is_local:
                self._upload(ref, folder)
        place(folder, local, MANIFEST)
        return Artifact(ref, local)

    def _upload(self, ref: Ref, folder: Path) -> None:
        """Copy a folder to the store, its manifest last."""
        store, root = self._store
        target = f"{root}/{ref.folder}"
        manifest = (folder / MANIFEST).read_bytes()
        (folder / MANIFEST).unlink()
        store.create_dir(target, recursive=True)
        fs.copy_files(str(folder), target, destination_filesystem=store)
        with store.open_output_stream(f"{target}/{MANIFEST}") as stream:
            stream.write(manifest)
        (folder / MANIFEST).write_bytes(manifest)

    def discard(self, folder: Path) -> None:
        """Take a folder out of sight in one rename, then delete it at leisure."""
        if folder.exists():
            aside = self.aside()
            with suppress(FileNotFoundError):  # somebody else has just done it
                folder.rename(aside / "discarded")
            shutil.rmtree(aside, ignore_errors=True)

    def remove(self, ref: Ref) -> None:
        """Delete an artifact, manifest first."""
        if not self.is_local:
            store, root = self._store
            with suppress(FileNotFoundError):
                store.delete_file(f"{root}/{ref.folder}/{MANIFEST}")
            with suppress(FileNotFoundError):
                store.delete_dir(f"{root}/{ref.folder}")
        self.discard(self.local(ref))

    @contextmanager
    def claim(self, refs: Iterable[Ref]) -> Iterator[claims.Claim]:
        """Hold these keys, so that two runs never compute the same artifact at the same time, on whichever machine.

        In a folder by locks of the operating system, which go with the process, however that ends; in an object store
        by conditional writes.
        """
        keys, store = sorted({r.key for r in refs}), self._claims
        with ExitStack() as stack:
            if self.is_local:
                locks = self.root / ".locks"
                locks.mkdir(parents=True, exist_ok=True)
                for key in keys:
                    stack.enter_context(lock(locks / key))
            yield stack.enter_context(claims.hold(store, keys)) if store else claims.Claim()

    @property
    def _claims(self) -> "ObjectStore | None":
        return None if self.is_local else claims.open_store(self.url, getattr(self._store[0], "region", ""))

    # --- pointers ----------------------------------------------------------------------------------------------

    def point(self, ref: Ref) -> None:
        """Make `ref` what readers of its dataset see as current; never moves back to an earlier date."""
        now = self.current(ref.dataset)
        if now and now.date > ref.date:
            return
        pointer = {"schema_version": SCHEMA_VERSION, "date": ref.date, "key": ref.key, "path": ref.folder}
        self.write_record(f"current/{ref.dataset}", pointer)

    def current(self, dataset: str) -> Ref | None:
        """What the dataset's `current` pointer names; None where there is none, or a damaged one."""
        return self.record(
            f"current/{dataset}",
            lambda pointer: Ref(dataset, text_of(pointer, "date"), text_of(pointer, "key")),
            "it is made again from the newest day that the lake has",
        )

    # --- records: small JSON files in the lake itself, for whoever shares it -----------------------------------------

    def write_record(self, name: str, record: dict[str, Any]) -> None:
        """Write one, such as `current/users`, whole or not at all."""
        store, root = self._store
        target = f"{root}/{name}.json"
        if self.is_local:
            write_json(Path(target), record)
            return
        store.create_dir(target.rpartition("/")[0], recursive=True)
        with store.open_output_stream(target) as stream:
            stream.write(json.dumps(record, indent=2).encode())

    def record(self, name: str, make: Callable[[Any], Made], lost: str) -> Made | None:
        """What one says; None where there is none, or where it is damaged, see `expectations.records`.

        Args:
            make, lost: as of `read_record`.
        """
        store, root = self._store
        path = f"{root}/{name}.json"
        return record_from(
            path if self.is_local else f"{self.url.partition('?')[0]}/{name}.json",
            lambda: self._read(f"{name}.json"),
            make,
            lost,
            lambda: store.move(path, path + DAMAGED),
        )

    def record_names(self, folder: str) -> list[str]:
        """Names of all records of a folder, sorted."""
        store, root = self._store
        infos = store.get_file_info(fs.FileSelector(f"{root}/{folder}", allow_not_found=True))
        return sorted(i.base_name.removesuffix(".json") for i in infos if _is_record(i))

    def remove_record(self, name: str) -> None:
        """Remove one; nothing happens where there is none."""
        store, root = self._store
        with suppress(FileNotFoundError):
            store.delete_file(f"{root}/{name}.json")

    def sweep(self) -> int:
        """Remove folders that runs which are dead prepared and never published, and old claims; returns how many."""
        if self._claims:
            claims.forget_old(self._claims)
        staging = self.root / ".staging"
        left = [f for f in staging.glob("*") if not owner_is_alive(f.name.rsplit("-", 1)[0])]
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        return len(left)
