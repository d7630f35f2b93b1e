"""Who is judged, and by what: what a night's evaluation read, for others that judge on the same days."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from expectations.errors import Failure
from models.evaluation.config import EvaluationConfig
from tasks.engine.lake import Artifact, Lake, Ref

if TYPE_CHECKING:
    import numpy as np

    from models.evaluation.catalogue import CatalogueFacts
    from models.evaluation.truth import Judged


def judged_and_catalogue(
    watches: Iterable[Artifact],
    users: Artifact,
    items: Artifact,
    histories: Artifact,
    popularity: Artifact,
    config: EvaluationConfig,
) -> "tuple[Judged, CatalogueFacts]":
    """The users judged, at most `config.max_users` of them, and the catalogue at the cut.

    Args:
        watches: the judged days, all later than the rest.

    Raises:
        Failure: the histories know something of the judged days.
        UserError: nobody can be judged.
    """
    from models.evaluation.catalogue import CatalogueFacts
    from models.evaluation.truth import check_histories, judged_users

    days = tuple(watches)
    catalogue = CatalogueFacts.of(items.table(["item_id", "genres"]), popularity.table())
    past = histories.table(["user_id", "item_ids", "times", "seen"])
    check_histories(past, min(day.date for day in days))
    everyone = judged_users(
        (day.table(["user_id", "item_id", "positive"]) for day in days),
        users.table(["user_id"])["user_id"].to_numpy(), catalogue.item_ids, past,
    )  # fmt: skip
    return everyone.sample(config.max_users, config.seed), catalogue


def segments_of(judged: "Judged", users: Artifact, histories: Artifact) -> "dict[str, np.ndarray]":
    """Segments of the judged users, name -> bool `[U]`: by activity where the log tells no lifecycle."""
    from models.evaluation.truth import activity_segments, user_segments

    segments = user_segments(judged, users.table(["user_id", "lifecycle", "engagement_tier"]))
    if not any(name.startswith("lifecycle=") for name in segments):
        segments |= activity_segments(judged, histories.table(["user_id", "item_ids", "times"]))
    return segments


def inputs_of(lake: Lake, artifact: Artifact) -> dict[str, list[Artifact]]:
    """What an artifact was made of, by the names of its stage's inputs.

    Raises:
        Failure: the lake no longer has all of it.
    """
    found = {name: [lake.find(Ref.of(f)) for f in folders] for name, folders in artifact.manifest["inputs"].items()}
    gone = [name for name, ones in found.items() if None in ones]
    if gone:
        raise Failure(
            f"{lake.url} no longer has all {', '.join(gone)} that {artifact.dataset} of {artifact.date} was made of; "
            "run its night again"
        )
    return {name: [one for one in ones if one] for name, ones in found.items()}
