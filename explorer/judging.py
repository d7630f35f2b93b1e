"""Settings judged live: lists under the knobs beside the release's own, on the days and users of its own evaluation."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from expectations.errors import UserError
from explorer.data import Release, Store
from models.evaluation.catalogue import CatalogueFacts
from models.evaluation.config import EvaluationConfig
from models.evaluation.judging import evaluation_table
from models.evaluation.systems import lists_from_table
from models.evaluation.truth import Judged
from tasks.stages.judged_users import inputs_of, judged_and_catalogue

MOST_USERS = 300
KNOBS = "these settings"


def judged_live(store: Store, release: Release, pipeline: Mapping[str, Any]) -> pa.Table:
    """A table of the dataset `evaluation`: `final` is the release as it stands, KNOBS the same with other settings.

    Raises:
        UserError: the lake no longer has the release's evaluation.
        Failure: or not all that it was made of.
    """
    judged, catalogue, settings = _truth(store, release)
    users, k = judged.user_ids, settings.primary_k
    with release.asked() as bundle:
        systems = {
            name: lists_from_table(one.recommend(users, k=max(k, int(one.pipeline["k"]))).table, users, k)
            for name, one in {"final": bundle, KNOBS: bundle.with_pipeline(pipeline)}.items()
        }
    return evaluation_table(systems, judged, {"all": np.ones(len(users), dtype=bool)}, catalogue, settings)


def _truth(store: Store, release: Release) -> tuple[Judged, CatalogueFacts, EvaluationConfig]:
    evaluation = store.artifact(release.version, "evaluation")
    if evaluation is None:
        raise UserError(f"the lake no longer has the evaluation of release {release.number}; run its night again")
    made = inputs_of(store.lake, evaluation)
    users, items, histories, popularity = (made[n][0] for n in ("users", "items", "histories", "popularity"))
    k = int(evaluation.notes["primary_k"])
    settings = EvaluationConfig(ks=(k,), primary_k=k, num_resamples=300, max_users=MOST_USERS)
    return *judged_and_catalogue(made["watches"], users, items, histories, popularity, settings), settings
