"""What the explorer reads: the lake, the registry, and releases through their own runtime. It writes nothing here."""

import shlex
import threading
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations.errors import UserError
from expectations.files import read_json
from flows.night.lakes import open_lake
from flows.night.records import RunRecord, all_runs
from flows.registry import open_registry, open_release
from tasks.engine.lake import Artifact, Lake
from tasks.machine.home import opened
from tasks.pages.commands import RUN
from tasks.pages.quality import Evaluation
from tasks.registry.registry import Registry, Version
from tasks.registry.release_layout import FOLDER
from tasks.releases.trust import made_from

MOST_OPEN = 4
"""Releases held in memory at a time; the one asked for longest ago goes first."""
TOWERS = "two towers"
TITLES = "title_embeddings.parquet"


@dataclass(frozen=True)
class Watched:
    """One item of a history: when (seconds since 1970) and which share of it."""

    item_id: int
    time_s: int
    share: float


class Release:
    """One release, opened: its bundle, and its users and items by the names that people know."""

    def __init__(self, version: Version, bundle: Any) -> None:
        self.version, self.bundle = version, bundle

    @property
    def number(self) -> int:
        return self.version.number

    @cached_property
    def users(self) -> dict[str, int]:
        """Outside id -> dense id, of the users that it knows."""
        known = set(self.bundle.user_ids.tolist())
        return {name: i for name, i in self._named("user") if i in known}

    @cached_property
    def items(self) -> dict[str, int]:
        """Outside id -> dense id, of the items that it knows."""
        known = set(self.bundle.item_ids.tolist())
        return {name: i for name, i in self._named("item") if i in known}

    def _named(self, kind: str) -> Iterable[tuple[str, int]]:
        rows = self.bundle.id_map.filter(pc.equal(self.bundle.id_map["kind"], kind))
        return zip(rows["external_id"].to_pylist(), rows["id"].to_pylist(), strict=True)

    @cached_property
    def item_names(self) -> dict[int, str]:
        """Dense id -> outside id."""
        return {i: name for name, i in self.items.items()}

    @cached_property
    def genres(self) -> dict[int, list[str]]:
        """Genres of every item, the primary one first."""
        items = self.bundle.items
        return dict(zip(items["item_id"].to_pylist(), (g or [] for g in items["genres"].to_pylist()), strict=True))

    @cached_property
    def vectors(self) -> dict[str, np.ndarray]:
        """Vectors of all items by id, zeros where one has none: the towers', and those of any source that has some."""
        tables = {name: pq.read_table(self.bundle.path / file) for name, file in self._vector_files().items()}
        return {TOWERS: self.bundle.item_vectors, **{name: self._spread(table) for name, table in tables.items()}}

    def _vector_files(self) -> dict[str, str]:
        """Source -> the table of its items' vectors."""
        if self.bundle.manifest["format"] < 2:  # does not declare the sources that every night has
            return {"transformer": TITLES} if (self.bundle.path / TITLES).is_file() else {}
        declared = read_json(self.bundle.path / "sources.json")
        return {one["name"]: one["files"][1] for one in declared if one["kind"] == "vectors"}

    def _spread(self, table: pa.Table) -> np.ndarray:
        """float32 `[I, d]` by item id."""
        ids = table["item_id"].to_numpy()
        (lists,) = (table[field.name] for field in table.schema if pa.types.is_list(field.type))
        vectors = pc.list_flatten(lists).to_numpy().reshape(len(ids), -1)
        known = ids < len(self.bundle.item_vectors)
        spread = np.zeros((len(self.bundle.item_vectors), vectors.shape[1]), dtype=vectors.dtype)
        spread[ids[known]] = vectors[known]
        return spread

    def title(self, item_id: int) -> str:
        """What an item is called."""
        return str(self.bundle.titles[item_id].as_py())

    def user(self, user_id: int) -> dict[str, Any]:
        """What is known of a user, one of `users`."""
        row = int(np.searchsorted(self.bundle.user_ids, user_id))
        return dict(self.bundle.users.slice(row, 1).to_pylist()[0])

    def history(self, user_id: int) -> list[Watched]:
        """What a user has watched in the window, newest first."""
        table = pq.read_table(self.bundle.path / "histories.parquet", filters=[("user_id", "=", user_id)])
        if not table.num_rows:
            return []
        row = table.slice(0, 1).to_pylist()[0]
        rows = zip(row["item_ids"], row["times"], row["watch_shares"], strict=True)
        return [Watched(*one) for one in rows][::-1]

    @contextmanager
    def asked(self) -> Any:
        """What the runtime refuses becomes a message for people: its own error is a ValueError of the bundle's file."""
        try:
            yield self.bundle
        except ValueError as error:
            raise UserError(str(error)) from error


class Store:
    """The home at hand."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._open: dict[tuple[int, str], Release] = {}
        self._lock = threading.RLock()

    @property
    def registry(self) -> Registry:
        """The home's registry."""
        return open_registry("")

    @property
    def lake(self) -> Lake:
        """The home's lake."""
        return open_lake(self.home)

    def versions(self) -> list[Version]:
        """Every release, newest first; none in an empty home, whose registry is not even made for the question."""
        own = Registry(self.home)
        return self.registry.versions() if own.address or own.database.exists() else []

    def release(self, number: int) -> Release:
        """A release, opened; the first time takes a second or two.

        Raises:
            UserError: there is no such version.
            Failure: it cannot be fetched, or is damaged.
        """
        with self._lock:
            registry = self.registry
            version = registry.find(str(number))
            key = (number, version.digest)  # the home may have another registry by now
            if key not in self._open:
                while len(self._open) >= MOST_OPEN:
                    self._open.pop(next(iter(self._open)))
                self._open[key] = Release(version, open_release(registry, version))
            self._open[key] = self._open.pop(key)
            return self._open[key]

    def artifact(self, version: Version, tag: str) -> Artifact | None:
        """What a version was made from: `bundle`, `recommendations`, `evaluation`; None when it is gone."""
        return made_from(self.lake, version, tag)

    def command(self, version: Version, changes: Sequence[str]) -> str:
        """What makes a release like a version with some settings changed: from the config of its run, where known."""
        made = [run for run in all_runs(self.home) if _is_of(run, version, self.home)]
        known = made[-1].command(self.home, changes) if made else ""
        return known or shlex.join([*RUN.split(), *(word for change in changes for word in ("--set", change))])

    def evaluation(self, version: Version) -> Evaluation | None:
        """How a release was judged in its night."""
        judged = self.artifact(version, "evaluation")
        return Evaluation(judged.table().to_pylist(), judged.notes) if judged else None

    def facts(self, version: Version) -> dict[str, Any]:
        """What a release was made with, in short: `dim` of its vectors and its `system`, as far as the lake knows."""
        bundle = self.artifact(version, "bundle")
        if bundle is None:
            return {}
        pipeline, manifest = (read_json(bundle.path / FOLDER / n) for n in ("pipeline.json", "manifest.json"))
        return {"dim": manifest["dim"], **({"system": pipeline["system"]} if "system" in pipeline else {})}

    def label(self, version: Version) -> str:
        """A release in a line: number, day, aliases, what it was made with."""
        facts = self.facts(version)
        made = [str(facts["system"])] if "system" in facts else []
        made += [f"{facts['dim']}-d"] if "dim" in facts else []
        words = [str(version.number), version.tags.get("nightjar.date", ""), ", ".join(version.aliases), *made]
        return " · ".join(word for word in words if word)


def _is_of(run: RunRecord, version: Version, home: Path) -> bool:
    """Whether a run has made a version of the home's registry; earlier code kept its number alone."""
    if "digest" in run.release:
        return bool(run.release["digest"] == version.digest)
    if run.release.get("version") != version.number:
        return False
    return Registry(home, opened(home, run.registry)).uri == Registry(home).uri
