"""Mends the `current` pointers of a lake."""

from expectations.datasets import DATASETS
from tasks.engine.lake import Lake


def mend_pointers(lake: Lake) -> None:
    """Make every damaged pointer again, from the artifact of the newest day that stands, the last published of it."""
    for dataset in lake.record_names("current"):
        if dataset in DATASETS and lake.current(dataset) is None:
            newest = sorted(lake.refs(dataset), key=lambda ref: ref.date)
            whole = next((ref for ref in reversed(newest) if lake.find(ref)), None)
            if whole:
                lake.point(whole)
