"""Settings judged live: lists under the knobs beside the release's own, on the days and users of its own evaluation."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from expectations.errors import UserError
from explorer.data import Release, Store, reference
from models.evaluation.catalogue import Catalogue
from models.evaluation.config import EvaluationConfig
from models.evaluation.judging import judge
from models.evaluation.systems import lists_from_table
from models.evaluation.truth import Judged, judged_users
from tasks.lake import Artifact

MOST_USERS = 300
KNOBS = "these settings"


def judged_live(store: Store, release: Release, pipeline: Mapping[str, Any]) -> pa.Table:
    """A table of the dataset `evaluation`: `final` is the release as it stands, KNOBS the same with other settings.

    Raises:
        UserError: the lake no longer has what the release was judged by.
    """
    judged, catalogue, settings = _truth(store, release)
    users, k = judged.user_ids, settings.primary_k
    with release.asked() as bundle:
        systems = {
            name: lists_from_table(one.recommend(users, k=max(k, int(one.pipeline["k"]))).table, users, k)
            for name, one in {"final": bundle, KNOBS: bundle.with_pipeline(pipeline)}.items()
        }
    return judge(systems, judged, {"all": np.ones(len(users), dtype=bool)}, catalogue, settings)


def _truth(store: Store, release: Release) -> tuple[Judged, Catalogue, EvaluationConfig]:
    evaluation = store.artifact(release.version, "evaluation")
    if evaluation is None:
        raise UserError(f"the lake no longer has the evaluation of release {release.number}; run its night again")
    known = ("users", "items", "histories", "popularity")
    (users,), (items,), (histories,), (popularity,) = (_inputs(store, evaluation, name) for name in known)
    columns = ["user_id", "item_id", "positive"]
    catalogue = Catalogue.of(items.table(["item_id", "genres"]), popularity.table())
    everyone = judged_users(
        (day.table(columns) for day in _inputs(store, evaluation, "watches")),
        users.table(["user_id"])["user_id"].to_numpy(),
        catalogue.item_ids,
        histories.table(["user_id", "item_ids", "seen"]),
    )
    k = int(evaluation.notes["primary_k"])
    settings = EvaluationConfig(ks=(k,), primary_k=k, num_resamples=300)
    return everyone.sample(MOST_USERS, settings.seed), catalogue, settings


def _inputs(store: Store, evaluation: Artifact, name: str) -> list[Artifact]:
    refs = [reference(folder) for folder in evaluation.manifest["inputs"][name]]
    found = [artifact for artifact in map(store.lake.find, refs) if artifact]
    if len(found) < len(refs):
        raise UserError(f"the lake no longer has all {name} that the release was judged by; run its night again")
    return found
