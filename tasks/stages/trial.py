"""Stage `trial`: one configuration of a sweep, served by a bundle that others were trained for too, and judged.

The bundle and the judged days are loaded once for all configurations that follow each other in a process; a
configuration is then other settings of its pipeline, the lists of the judged users, and their figures. No list is
kept: the bundle makes it again.
"""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from models.evaluation.config import EvaluationConfig
from models.serving.config import PipelineConfig
from tasks.engine.lake import Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import plain, stage
from tasks.registry.release_layout import FOLDER
from tasks.stages.groups import Yardsticks
from tasks.stages.judged_users import judged_and_catalogue

if TYPE_CHECKING:
    from models.evaluation.catalogue import CatalogueFacts
    from models.evaluation.truth import Judged
    from models.runtime import Bundle

T = TypeVar("T")


@dataclass
class LastValue(Generic[T]):
    """The last value made, held for whoever asks for the same again; made by the first thread that asks."""

    _key: Hashable = None
    _value: T | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            if self._value is None or self._key != key:
                self._value = None  # two bundles at a time need not fit into memory
                self._key, self._value = key, make()
            return self._value


BUNDLE: "LastValue[Bundle]" = LastValue()
JUDGED: "LastValue[tuple[Judged, CatalogueFacts]]" = LastValue()


@stage(produces="trial", libraries=("faiss-cpu", "onnxruntime"), memory_gib=1.0)
def trial(
    out: Outputs,
    bundle: Artifact,
    by: Yardsticks,
    pipeline: PipelineConfig,
    config: EvaluationConfig,
) -> None:
    """Judge what the bundle would serve with another pipeline, as the night would judge it.

    Args:
        bundle: of the same trained parts; its own pipeline does not matter.
    """
    from models.evaluation.systems import lists_from_table, oracle_lists, random_lists
    from models.evaluation.trial import trial_table
    from models.runtime import Bundle

    users, items = by.known.users, by.known.items
    assert all(day.date > items.date for day in by.watches), f"judged days must be later than {items.date}"
    served = BUNDLE.get(bundle.path, lambda: Bundle(bundle.path / FOLDER, threads=1, verify=False))
    read = (*by.watches, users, items, by.histories, by.popularity)
    key = (*(artifact.path for artifact in read), config.max_users, config.seed)
    judged, catalogue = JUDGED.get(
        key, lambda: judged_and_catalogue(by.watches, users, items, by.histories, by.popularity, config)
    )
    found = served.with_pipeline(plain(pipeline)).recommend(judged.user_ids)
    longest = max(*config.ks, config.primary_k, pipeline.k)
    lists = lists_from_table(found.table, judged.user_ids, longest)
    yardsticks = {
        "popularity": served.retrieve("popularity", judged.user_ids.tolist(), longest)[0],
        "random": random_lists(catalogue.item_ids, judged.seen, longest, config.seed),
    }
    for best in by.oracle:
        yardsticks["oracle"] = oracle_lists(best.table(), judged.user_ids, judged.seen, catalogue.item_ids, longest)
    out["trial"].write(trial_table(lists, pipeline.k, judged, catalogue, config, yardsticks))
    out.note(k=pipeline.k, users_judged=len(judged.user_ids), removals=found.removals, sources=found.sources)
