"""MIND as it is unpacked (Wu et al. 2020, ACL): a line of `behaviors.tsv` is a list of what was shown and clicked."""

import re
from pathlib import Path
from typing import Any

BEHAVIORS, NEWS = "behaviors.tsv", "news.tsv"
_BEHAVIORS = ("impression", "user", "time", "history", "shown")
_NEWS = ("item", "category", "subcategory", "title", "abstract", "url", "title_entities", "abstract_entities")
_SHOWN = re.compile(r"\S+-[01]( \S+-[01])*")


def mind_source(root: Path) -> dict[str, Any] | None:
    """Settings of `source` that read such a file, or a folder that has it; None for anything else."""
    behaviors = root / BEHAVIORS if root.is_dir() else root
    first = _first_line(behaviors)
    if behaviors.name != BEHAVIORS or len(first) != len(_BEHAVIORS) or not _SHOWN.fullmatch(first[-1]):
        return None
    source: dict[str, Any] = {"kind": "table", "time_format": "%m/%d/%Y %I:%M:%S %p"}
    if len(_first_line(behaviors.with_name(NEWS))) == len(_NEWS):
        source["items"] = {
            "path": NEWS, "header": list(_NEWS), "title": "title", "genres": "category", "description": "abstract",
        }  # fmt: skip
    source["impressions"] = {"path": str(behaviors), "header": list(_BEHAVIORS), "shown": "shown", "mark": "-"}
    return source


def _first_line(path: Path) -> list[str]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline().rstrip("\r\n").split("\t")
