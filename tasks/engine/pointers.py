"""Mends the `current` pointers of a lake in a folder; an object store keeps whole objects only."""

from pathlib import Path
from typing import Any

from expectations.datasets import DATASETS
from expectations.records import read_record, text_of
from tasks.engine.lake import Lake, Ref


def mend_pointers(lake: Lake) -> None:
    """Make every damaged pointer again, from the artifact of the newest day that stands, the last published of it."""
    if not lake.is_local:
        return
    for path in sorted((lake.root / "current").glob("*.json")):
        if path.stem in DATASETS and not _is_whole(path):
            newest = sorted(lake.refs(path.stem), key=lambda ref: ref.date)
            whole = next((ref for ref in reversed(newest) if lake.find(ref)), None)
            if whole:
                lake.point(whole)


def _is_whole(path: Path) -> bool:
    def make(pointer: Any) -> Ref:
        return Ref(path.stem, text_of(pointer, "date"), text_of(pointer, "key"))

    lost = "it is made again from the newest day that the lake has"
    return read_record(path, make, lost) is not None
