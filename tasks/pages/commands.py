"""How every figure of the report is had again: the commands that read it, and the one that computes it anew."""

from dataclasses import replace

from tasks.pages.data import Section

RUN = "nightjar run CONFIG.yaml"
"""The run of the night, as long as nobody knows its config; the flow's page has the command itself."""

_MADE_BY: dict[str, tuple[str, ...]] = {
    "quality": ("evaluation",), "segments": ("evaluation",), "sources": ("recommendations", "evaluation"),
    "ablations": ("evaluation",), "training": ("towers", "ranker"), "index": ("index",),
}  # fmt: skip
"""Stages that compute a chapter's figures; those of all others are counted by the report itself."""

_READ: dict[str, tuple[str, ...]] = {
    "quality": ("evaluation",), "segments": ("evaluation",), "sources": ("recommendations", "evaluation"),
    "ablations": ("evaluation",), "bias": ("recommendations", "popularity"), "people": ("recommendations", "histories"),
    "training": ("towers", "ranker"), "index": ("index",), "data": ("watches",), "audits": ("items",),
    "lineage": ("release",),
}  # fmt: skip
_FILES = ("towers", "ranker", "index", "items", "release")
"""Of these `show` tells more than a table of rows would: files, audit, lineage."""
_OF_THE_DAY = ("evaluation", "recommendations", "watches", "release")
"""Datasets of the logical day; all others are of the last day that was learnt from."""


def with_commands(section: Section, day: str, cut: str) -> Section:
    """A chapter with its commands, as (words, command).

    Args:
        day: the night's logical day.
        cut: last day that anything was learnt from.
    """
    reads = [("read", _reading(name, day if name in _OF_THE_DAY else cut)) for name in _READ.get(section.id, ())]
    stages = _MADE_BY.get(section.id, ("report",))
    again = ("compute again", " ".join([RUN, "--date", day, *(f"--force {stage}" for stage in stages)]))
    return replace(section, commands=(*reads, again))


def _reading(dataset: str, date: str) -> str:
    if dataset in _FILES:
        return f"nightjar show {dataset} --date {date}"
    return f"nightjar export {dataset} --date {date} --to {dataset}.csv"
