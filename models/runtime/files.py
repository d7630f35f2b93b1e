"""Which files a release has: where each lies, what `nightjar pull` calls the part it belongs to, whose rows it holds,
and whether a release can be without it. Whoever assembles, checks, loads or pulls a release reads this table.
"""

from dataclasses import dataclass
from typing import Literal

FORMAT = 1
"""Version of the layout, as `manifest.json` tells; raised when an older runtime could not read it."""

EVERY = ""
"""Part of what comes with every other part."""

REST = "all"
"""Part of what only a whole release has."""


@dataclass(frozen=True)
class ReleaseFile:
    """A file, or several.

    Attributes:
        name: place in the release; `*` stands for anything.
        part: as `nightjar pull --part` takes it.
        dataset: whose table it is, if it is one.
        needed: `always`; `together`, where all files of its part are there or none; `never`.
    """

    name: str
    part: str
    dataset: str = ""
    needed: Literal["always", "together", "never"] = "always"


def _table(dataset: str, part: str = REST, needed: Literal["always", "together"] = "always") -> ReleaseFile:
    return ReleaseFile(f"{dataset}.parquet", part, dataset, needed)


FILES = (
    ReleaseFile("README.md", EVERY),
    ReleaseFile("bundle/*", EVERY, needed="never"),
    ReleaseFile("bundle.py", EVERY, needed="never"),  # the runtime of the first releases
    _table("id_map", EVERY),
    ReleaseFile("index/index.json", "index"),
    ReleaseFile("index/*", "index", needed="never"),
    ReleaseFile("user_tower.onnx", "towers"),
    ReleaseFile("item_tower.onnx", "towers"),
    ReleaseFile("encoders.json", "towers"),
    ReleaseFile("ranker.onnx", "ranker"),
    ReleaseFile("ranker.json", "ranker"),
    ReleaseFile("als/user_factors.parquet", "als", "als_user_factors"),
    ReleaseFile("als/item_factors.parquet", "als", "als_item_factors"),
    _table("item_similarity", "similar"),
    _table("content_similarity", "similar"),
    _table("embeddings", "embeddings"),
    ReleaseFile("user_embeddings.parquet", "embeddings"),  # made of the other parts when a release is assembled
    ReleaseFile("transformer.onnx", "foundation", needed="together"),
    ReleaseFile("transformer.json", "foundation", needed="together"),
    _table("member_embeddings", "foundation", "together"),
    _table("title_embeddings", "foundation", "together"),
    ReleaseFile("sources.json", "sources", needed="never"),
    ReleaseFile("sources/*", "sources", needed="never"),
    ReleaseFile("recommendations/*", "recommendations", needed="never"),
    *(
        _table(name)
        for name in ("users", "items", "histories", "user_features", "item_features", "exposures", "popularity")
    ),
    ReleaseFile("pipeline.json", REST),
)

TABLES = {file.dataset: file.name for file in FILES if file.dataset}
"""Dataset -> where its table lies."""

LOADED = tuple(file.dataset for file in FILES if file.dataset and file.needed == "always")
"""Datasets whose tables every release has."""


def required(there: set[str]) -> list[str]:
    """Names of the files that a release with the files `there` must have."""
    begun = {file.part for file in FILES if file.needed == "together" and file.name in there}
    return [f.name for f in FILES if f.needed == "always" or (f.needed == "together" and f.part in begun)]


def patterns_by_part() -> dict[str, tuple[str, ...]]:
    """Part -> patterns of its own files; `all` is everything, and what comes with every part stands at `EVERY`."""
    parts = dict.fromkeys(file.part for file in FILES if file.part != REST)
    return {**{part: tuple(f.name for f in FILES if f.part == part) for part in parts}, REST: ("*",)}
