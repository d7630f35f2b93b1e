"""Sources of candidates as a night makes them and a release declares them. Imports nothing heavy.

A release names its sources in `sources.json`, and its runtime opens each by its kind alone. Five come with every night,
one more when a system asks a transformer; any model of the catalogue may be another.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from models.catalogue import SOURCES, Model, SourceKind
from models.runtime.files import TABLES

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ReleaseSource:
    """A source of candidates as a release declares it.

    Attributes:
        kind: as `models.runtime.sources` opens it.
        datasets: its tables, in the order in which the kind takes them.
        files: what it has beside them, such as the graph of an encoder.
        reason: what lists say of its items, with `{}` for something that the user has watched; empty for the usual.
        tables: those of datasets that other sources may have, too: they lie in a folder of the source.
    """

    name: str
    kind: SourceKind
    datasets: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    reason: str = ""
    tables: "Mapping[str, pa.Table]" = field(default_factory=dict)

    def place(self, dataset: str) -> str:
        """Where a table lies in the release."""
        if dataset not in self.tables:
            return TABLES[dataset]
        return f"sources/{self.name}/{dataset.removeprefix('source_')}.parquet"

    def declaration(self) -> dict[str, Any]:
        """Its entry in `sources.json`."""
        files = [*map(self.place, self.datasets), *self.files]
        return {"name": self.name, "kind": self.kind, "files": files, "reason": self.reason}


_WITH_STAGES = (
    ReleaseSource("towers", "index"),
    ReleaseSource("als", "vectors", ("als_user_factors", "als_item_factors"), reason="like others who watched {}"),
    ReleaseSource("item_item", "neighbours", ("item_similarity",)),
    ReleaseSource("content", "neighbours", ("content_similarity",)),
    ReleaseSource(
        "transformer", "vectors", ("member_embeddings", "title_embeddings"), ("transformer.onnx", "transformer.json")
    ),
    ReleaseSource("popularity", "ranking", ("popularity",), reason="popular now"),
)
"""Sources that the night has stages of their own for. Of equal candidates the earlier source's comes first."""


def with_stages(datasets: Collection[str]) -> list[ReleaseSource]:
    """Those sources with stages of their own whose tables are all among `datasets`."""
    return [source for source in _WITH_STAGES if set(source.datasets) <= set(datasets)]


_TAKEN = {
    *(source.name for source in _WITH_STAGES),
    *("final", "random", "oracle"),
    *("ranker", "retrieval_order", "mmr", "caps", "exploration"),
}
"""Names of other sources, of systems that are judged beside them, and of parts of the pipeline."""


def named_apart(models: Iterable[Model]) -> dict[str, Model]:
    """Models by name, as sources of candidates.

    Raises:
        ValueError: a source of that name would be taken for something else in evaluations and settings.
    """
    found = {model.name: model for model in models}
    for name in found.keys() & _TAKEN:
        raise ValueError(
            f"models/catalogue.py: no source can be called {name!r}: another source, a system that is judged or a part "
            "of the pipeline is called so; rename it"
        )
    return found


FROM_CATALOGUE = named_apart(SOURCES.values())
"""Models of the catalogue that a night trains for whoever asks for them, each a source that bears its name."""

KINDS: dict[str, SourceKind] = {
    **{source.name: source.kind for source in _WITH_STAGES},
    **{name: model.source for name, model in FROM_CATALOGUE.items() if model.source},
}
"""Source -> what a release carries of it."""
