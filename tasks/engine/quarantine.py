"""Quarantine: where what failed its audit waits, whole, with the report beside it, until somebody decides.

<lake>/quarantine/<stage>-<date>-<key>/report.json and one folder for every dataset of the failed call
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expectations.errors import UserError
from expectations.files import place, read_json, write_json
from expectations.records import read_record
from tasks.engine.lake import MANIFEST, Lake, Ref, sealed

REPORT = "report.json"


@dataclass(frozen=True)
class Quarantined:
    """One failed call: its id, folder and report."""

    id: str
    path: Path

    @property
    def report(self) -> dict[str, Any]:
        """Its `findings`, above all; none when the report is damaged, and then one sentence says so."""
        lost = "the data beside it are whole: decide by them, or run the night again"
        found = read_record(self.path / REPORT, _report, lost, stays=True)
        return found or {"findings": [{"message": f"{REPORT} is damaged"}]}


def _report(told: Any) -> dict[str, Any]:
    return {**told, "findings": [{**finding, "message": str(finding["message"])} for finding in told["findings"]]}


def quarantine(lake: Lake, stage: str, folders: Mapping[Ref, Path], report: dict[str, Any]) -> Quarantined:
    """Move the finished folders of one call (manifests in them) to quarantine; an earlier attempt is replaced."""
    first = next(iter(folders))
    name = f"{stage}-{first.date}-{first.key[:8]}"
    aside = lake.aside()
    for ref, folder in folders.items():
        folder.rename(aside / ref.dataset)
    write_json(aside / REPORT, {"id": name, "stage": stage, "date": first.date, "key": first.key, **report})
    target = _root(lake) / name
    if target.exists():
        lake.discard(target)
    place(aside, target, REPORT)
    return Quarantined(name, target)


def quarantined(lake: Lake) -> list[Quarantined]:
    """Everything in quarantine, by id."""
    return [Quarantined(p.parent.name, p.parent) for p in sorted(_root(lake).glob(f"*/{REPORT}"))]


def find(lake: Lake, id_: str) -> Quarantined:
    """One of them, by its id or an unambiguous beginning of it."""
    found = [q for q in quarantined(lake) if q.id.startswith(id_)]
    if len(found) != 1:
        there = ", ".join(q.id for q in quarantined(lake)) or "nothing"
        raise UserError(f"quarantine: {id_!r} names {len(found)} entries; in quarantine: {there}")
    return found[0]


def release(lake: Lake, entry: Quarantined, why: str) -> list[Ref]:
    """Publish what failed all the same; its manifests keep the findings and the reason."""
    refs = []
    for manifest_path in sorted(entry.path.glob(f"*/{MANIFEST}")):
        manifest = read_json(manifest_path)
        manifest["audit"] = {**manifest["audit"], "released_because": why}
        write_json(manifest_path, sealed(manifest))
        ref = Ref(manifest["dataset"], manifest["date"], manifest["key"])
        lake.publish(ref, manifest_path.parent)
        refs.append(ref)
    shutil.rmtree(entry.path)
    return refs


def _root(lake: Lake) -> Path:
    """In the lake when it is a folder; beside the scratch copies when it is an object store."""
    return lake.root / "quarantine"
