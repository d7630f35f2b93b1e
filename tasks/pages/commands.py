"""How every figure of the report is had again: the commands that read it, and the one that computes it anew."""

import re
from collections.abc import Mapping
from dataclasses import replace

from tasks.engine.lake import Ref
from tasks.pages.data import Section

RUN = "nightjar run CONFIG.yaml"
"""What a night is run by, as long as nobody knows its config."""

MODELS = ("towers", "transformer", "ranker")
"""Stages that train; a night without a transformer has no third."""
_MADE_BY: dict[str, tuple[str, ...]] = {
    "quality": ("evaluation",), "segments": ("evaluation",), "sources": ("recommendations", "evaluation"),
    "ablations": ("evaluation",), "training": MODELS, "index": ("index",),
}  # fmt: skip
"""Stages that compute a chapter's figures; those of all others are counted by the report itself."""

_READ: dict[str, tuple[str, ...]] = {
    "quality": ("evaluation",), "segments": ("evaluation",), "sources": ("recommendations", "evaluation"),
    "ablations": ("evaluation",), "bias": ("recommendations", "popularity"), "people": ("recommendations", "histories"),
    "training": MODELS, "index": ("index",), "data": ("watches",), "audits": ("items",), "lineage": ("release",),
}  # fmt: skip
_FILES = (*MODELS, "index", "items", "release")
"""Of these `show` tells more than a table of rows would: files, audit, lineage."""
_KEY_LENGTH = 12


def with_commands(section: Section, day: str, refs: Mapping[str, Ref]) -> Section:
    """A chapter with its commands, as (words, command).

    Args:
        day: the night's logical day.
        refs: what the night read and made, by dataset; of those that come by the day, that day's.
    """
    reads = [("read", _reading(refs[name])) for name in _READ.get(section.id, ()) if name in refs]
    stages = [name for name in _MADE_BY.get(section.id, ("report",)) if name not in MODELS or name in refs]
    again = ("compute again", " ".join([RUN, "--date", day, *(f"--force {stage}" for stage in stages)]))
    return replace(section, commands=(*reads, again))


def with_its_config(command: str, run: str) -> str:
    """A chapter's command with the one that made the night, empty where nobody knows it, in the place of `RUN`."""
    return re.sub(rf"{re.escape(RUN)} --date \S+", lambda found: run or found[0], command)


def _reading(ref: Ref) -> str:
    """Named by its key: another night of the same day, of another system, has one of its own."""
    what = f"{ref.dataset} --date {ref.date} --key {ref.key[:_KEY_LENGTH]}"
    return f"nightjar show {what}" if ref.dataset in _FILES else f"nightjar export {what} --to {ref.dataset}.csv"
