"""Stage `evaluation`: the night's lists, each source alone, chance, popularity and the oracle on the judged days."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from models.evaluation.config import EvaluationConfig
from tasks.engine.lake import Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import stage
from tasks.registry.release_layout import FOLDER
from tasks.stages.groups import Yardsticks
from tasks.stages.judged_users import judged_and_catalogue, segments_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from models.evaluation.catalogue import CatalogueFacts
    from models.evaluation.truth import Judged
    from models.runtime import Bundle


@stage(produces="evaluation", libraries=("faiss-cpu", "onnxruntime"), memory_gib=1.5, threads=2)
def evaluation(
    out: Outputs,
    bundle: Artifact,
    recommendations: Artifact,
    by: Yardsticks,
    config: EvaluationConfig,
) -> None:
    """Judge what the bundle serves.

    Raises:
        Failure: the histories know something of the judged days.
        UserError: nobody can be judged.
    """
    import pyarrow as pa

    from models.evaluation.judging import evaluation_table, headline, hits_by_source
    from models.runtime import Bundle

    users, items = by.known.users, by.known.items
    assert all(day.date > items.date for day in by.watches), f"judged days must be later than {items.date}"
    judged, catalogue = judged_and_catalogue(by.watches, users, items, by.histories, by.popularity, config)
    served = Bundle(bundle.path / FOLDER, threads=out.resources.threads, verify=False)
    final = recommendations.table(["user_id", "rank", "item_id", "source"])
    systems = _systems(served, final, judged, catalogue.item_ids, [o.table() for o in by.oracle], config)
    out.progress(1, 3, f"{len(systems)} systems on {len(judged.user_ids):,} users")
    table = evaluation_table(systems, judged, segments_of(judged, users, by.histories), catalogue, config)
    out.progress(2, 3, "each part left out in turn")
    without = _ablations(served, judged.sample(config.max_ablation_users, config.seed), catalogue, config)
    out["evaluation"].write(pa.concat_tables([table, *without]))
    out.note(
        judged_days=[day.date for day in by.watches],
        ablation_k=served.pipeline["k"],
        users_judged=len(judged.user_ids),
        left_out=judged.left_out,
        hits_by_source=hits_by_source(final, judged, config.primary_k),
        **headline(table, systems, judged, config),
    )


def _systems(
    served: "Bundle",
    final: "pa.Table",
    judged: "Judged",
    item_ids: "np.ndarray",
    oracle: "list[pa.Table]",
    config: EvaluationConfig,
) -> "dict[str, np.ndarray]":
    """Lists of every system, on the same users. Sources and popularity pass the same filters as `final`."""
    from models.evaluation.systems import lists_from_table, oracle_lists, random_lists

    users, k = judged.user_ids, max((*config.ks, config.primary_k))
    systems = {"final": lists_from_table(final, users, k)}
    for source in dict.fromkeys([*served.active_sources, "popularity"]):
        systems[source] = served.retrieve(source, users.tolist(), k)[0]
    systems["random"] = random_lists(item_ids, judged.seen, k, config.seed)
    for table in oracle:
        systems["oracle"] = oracle_lists(table, users, judged.seen, item_ids, k)
    return systems


def _ablations(
    served: "Bundle", judged: "Judged", catalogue: "CatalogueFacts", config: EvaluationConfig
) -> "Iterator[pa.Table]":
    """The bundle with one part of its pipeline left out at a time, compared with the whole one on the same users.

    Judged at the length that is served: quotas and the exploration slot act at the end of a list.
    """
    import numpy as np

    from models.evaluation.ablations import CONTROL, ablations
    from models.evaluation.judging import evaluation_table
    from models.evaluation.systems import lists_from_table

    if not len(judged.user_ids):
        return
    k, users = int(served.pipeline["k"]), judged.user_ids
    systems = {}
    for name, pipeline in ablations(served.pipeline).items():
        systems[name] = lists_from_table(served.with_pipeline(pipeline).recommend(users).table, users, k)
    everyone = {"all": np.ones(len(users), dtype=bool)}
    whole_lists = dataclasses.replace(config, ks=(k,), primary_k=k)
    yield evaluation_table(systems, judged, everyone, catalogue, whole_lists, CONTROL)
