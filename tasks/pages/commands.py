"""How every figure of the report is had again: the commands that read it, and the one that computes it anew."""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from tasks.engine.lake import Ref
from tasks.pages.data import Section

RUN = "nightjar run CONFIG.yaml"
"""What a night is run by, as long as nobody knows its config."""

TRAINING = "training"
"""The chapter about what was trained, whatever that was."""
_MADE_BY: dict[str, tuple[str, ...]] = {
    "quality": ("evaluation", "report"), "segments": ("evaluation",), "sources": ("recommendations", "evaluation"),
    "ablations": ("evaluation",), "index": ("index",),
}  # fmt: skip
"""Stages that compute a chapter's figures; those of all others are counted by the report itself."""

_READ: dict[str, tuple[str, ...]] = {
    "quality": ("evaluation",), "segments": ("evaluation",), "sources": ("recommendations", "evaluation"),
    "ablations": ("evaluation",), "bias": ("recommendations", "popularity"), "people": ("recommendations", "histories"),
    "index": ("index",), "data": ("watches",), "audits": ("items",), "lineage": ("release",),
}  # fmt: skip
_FILES = ("index", "items", "release")
"""Of these, as of models, `show` tells more than a table of rows would: files, audit, lineage."""
_KEY_LENGTH = 12


def with_commands(section: Section, day: str, refs: Mapping[str, Ref], models: Collection[str]) -> Section:
    """A chapter with its commands, as (words, command).

    Args:
        day: the night's logical day.
        refs: what the night read and made, by dataset; of those that come by the day, that day's.
        models: datasets of what was trained, called like their stages.
    """
    read, stages = _READ.get(section.id, ()), _MADE_BY.get(section.id, ("report",))
    if section.id == TRAINING:
        read = stages = tuple(models)
    reads = [("read", _reading(refs[name], name in (*_FILES, *models))) for name in read if name in refs]
    again = ("compute again", " ".join([RUN, "--date", day, *(f"--force {stage}" for stage in stages)]))
    return replace(section, commands=(*reads, again))


def with_its_config(command: str, run: str) -> str:
    """A chapter's command with the one that made the night, empty where nobody knows it, in the place of `RUN`."""
    return re.sub(rf"{re.escape(RUN)} --date \S+", lambda found: run or found[0], command)


def _reading(ref: Ref, is_shown: bool) -> str:
    """A command that reads an artifact, by its key: a night of the same day and another system has its own."""
    what = f"{ref.dataset} --date {ref.date} --key {ref.key[:_KEY_LENGTH]}"
    return f"nightjar show {what}" if is_shown else f"nightjar export {what} --to {ref.dataset}.csv"
