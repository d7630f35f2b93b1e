"""Which files a release has: where each lies, what `nightjar pull` calls the part it belongs to, whose rows it holds,
and whether a release can be without it. Whoever assembles, checks, loads or pulls a release reads this table.
"""

from dataclasses import dataclass

FORMAT = 2
"""Version of the layout, as `manifest.json` tells; raised when a runtime of before could not read it."""

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
        always: every release has it. Without others a release is whole, unless its `sources.json` names them.
    """

    name: str
    part: str
    dataset: str = ""
    always: bool = True


def _table(dataset: str, part: str = REST, always: bool = True) -> ReleaseFile:
    return ReleaseFile(f"{dataset}.parquet", part, dataset, always)


FILES = (
    ReleaseFile("README.md", EVERY),
    ReleaseFile("bundle/*", EVERY, always=False),
    ReleaseFile("bundle.py", EVERY, always=False),  # the runtime of the first releases
    _table("id_map", EVERY),
    ReleaseFile("index/index.json", "index"),
    ReleaseFile("index/*", "index", always=False),
    ReleaseFile("user_tower.onnx", "towers"),
    ReleaseFile("item_tower.onnx", "towers"),
    ReleaseFile("encoders.json", "towers"),
    ReleaseFile("ranker.onnx", "ranker"),
    ReleaseFile("ranker.json", "ranker"),
    ReleaseFile("als/user_factors.parquet", "als", "als_user_factors", always=False),
    ReleaseFile("als/item_factors.parquet", "als", "als_item_factors", always=False),
    _table("item_similarity", "similar", always=False),
    _table("content_similarity", "similar", always=False),
    _table("embeddings", "embeddings"),
    ReleaseFile("user_embeddings.parquet", "embeddings"),  # made of the other parts when a release is assembled
    ReleaseFile("transformer.onnx", "foundation", always=False),
    ReleaseFile("transformer.json", "foundation", always=False),
    _table("member_embeddings", "foundation", always=False),
    _table("title_embeddings", "foundation", always=False),
    ReleaseFile("sources.json", EVERY),
    ReleaseFile("sources/*", "sources", always=False),
    ReleaseFile("recommendations/*", "recommendations", always=False),
    *(_table(name) for name in ("users", "items", "histories", "user_features", "item_features", "exposures")),
    _table("popularity", always=False),
    ReleaseFile("pipeline.json", REST),
)

TABLES = {file.dataset: file.name for file in FILES if file.dataset}
"""Dataset -> where its table lies."""

LOADED = tuple(file.dataset for file in FILES if file.dataset and file.always)
"""Datasets whose tables every release has."""

REQUIRED = tuple(file.name for file in FILES if file.always)
"""Names of the files that every release has."""


def patterns_by_part() -> dict[str, tuple[str, ...]]:
    """Part -> patterns of its own files; `all` is everything, and what comes with every part stands at `EVERY`."""
    parts = dict.fromkeys(file.part for file in FILES if file.part != REST)
    return {**{part: tuple(f.name for f in FILES if f.part == part) for part in parts}, REST: ("*",)}
