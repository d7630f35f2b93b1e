"""What stages hand each other together. Where a stage makes a group, its fields are named after the datasets."""

from dataclasses import dataclass

from tasks.engine.groups import Group
from tasks.engine.lake import Artifact


@dataclass(frozen=True)
class Known(Group):
    """Who and what there is, as known at the end of a day."""

    users: Artifact
    items: Artifact
    id_map: Artifact


@dataclass(frozen=True)
class Watched(Group):
    """What every log says of a day."""

    watches: Artifact


@dataclass(frozen=True)
class Events(Watched):
    """Everything that happened on a day, which only made data say."""

    impressions: Artifact
    actions: Artifact
    searches: Artifact


@dataclass(frozen=True)
class Facts(Group):
    """What the log says of users and items as of a day."""

    user_features: Artifact
    item_features: Artifact
    histories: Artifact
    exposures: Artifact


@dataclass(frozen=True)
class Factors(Group):
    """Users and items of a factorised matrix."""

    als_user_factors: Artifact
    als_item_factors: Artifact


@dataclass(frozen=True)
class Retrieval(Group):
    """Two towers, the items' vectors by them, and an index of these."""

    towers: Artifact
    embeddings: Artifact
    index: Artifact


@dataclass(frozen=True)
class FoundationVectors(Group):
    """Vectors by a transformer."""

    member_embeddings: Artifact
    title_embeddings: Artifact


@dataclass(frozen=True)
class Sources(Group):
    """What a release proposes candidates by, beside the index.

    Attributes:
        tables: lists, neighbours, vectors, rankings.
        models: trained ones that it carries, as they are asked about people who come later.
    """

    tables: tuple[Artifact, ...]
    models: tuple[Artifact, ...] = ()


@dataclass(frozen=True)
class Yardsticks(Group):
    """What lists are judged by.

    Attributes:
        watches: the judged days, all later than the rest.
        known, histories, popularity: as of the last day before them.
        oracle: the best lists under the planted tastes, where data is made; else empty.
    """

    watches: tuple[Artifact, ...]
    known: Known
    histories: Artifact
    popularity: Artifact
    oracle: tuple[Artifact, ...]
