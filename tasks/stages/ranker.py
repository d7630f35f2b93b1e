"""The ranker: trained on what was shown on the last days, with features as of the day before them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from models.ranking.config import RankerConfig
from tasks.engine.lake import Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import stage
from tasks.stages.groups import Facts, Known

if TYPE_CHECKING:
    import pyarrow as pa


@stage(produces="ranker", libraries=("torch", "onnx", "onnxscript", "onnxruntime"), memory_gib=1.5, trains="by epoch")
def ranker(
    out: Outputs,
    impressions: tuple[Artifact, ...],
    watches: tuple[Artifact, ...],
    known: Known,
    facts: Facts,
    towers: Artifact,
    embeddings: Artifact,
    config: RankerConfig,
) -> None:
    """Train on the impressions of the days given, or where there are none on the positives of the watches.

    Args:
        facts: as of the day before the first of those days.
    """
    import pyarrow as pa

    from models.ranking.examples import from_impressions, from_positives, hide_tower_score, split_by_time
    from models.ranking.export import save
    from models.ranking.labels import WATCH_COLUMNS, substitutes
    from models.ranking.training import train
    from models.runtime.features import PAIR_FEATURES, Features
    from models.runtime.user_tower import UserTower

    as_of = facts.user_features.date
    past = (facts.user_features, facts.item_features, facts.histories, facts.exposures)
    assert {artifact.date for artifact in past} == {as_of}, f"features must all be as of {as_of}"
    assert all(day.date > as_of for day in (*impressions, *watches)), f"training days must be later than {as_of}"
    tables = {artifact.dataset: artifact.table() for artifact in (known.users, known.items, *past, embeddings)}
    features = Features.of(tables, UserTower(towers.path), as_of)
    log = [day.table(WATCH_COLUMNS) for day in watches]
    if impressions:
        num_impressions = sum(day.rows for day in impressions)
        examples = from_impressions(_shown(out, impressions), num_impressions, pa.concat_tables(log), features, config)
    else:
        examples = from_positives(log, features, config)
    for day, of_day in zip(impressions or watches, examples, strict=True):
        if day.date <= towers.notes["trained_to"]:
            hide_tower_score(of_day)
    training, validation = split_by_time(examples, config.validation_days)
    trained = train(training, validation, PAIR_FEATURES, config, on_progress=out.progress)
    lacking = substitutes(pa.concat_tables(log), bool(impressions), config)
    said = {"as_of": as_of, "substitutes": [s.to_list() for s in lacking]}
    save(trained, PAIR_FEATURES, config, said, out["ranker"].path)
    out.note(
        num_training=len(training),
        num_validation=len(validation),
        epochs=len(trained.log.epochs),
        best_epoch=trained.log.best_epoch,
        validation=trained.quality,
        **said,
    )


def _shown(out: Outputs, impressions: tuple[Artifact, ...]) -> "Iterator[pa.Table]":
    """One day at a time, telling how far it has come."""
    from models.ranking.labels import IMPRESSION_COLUMNS

    for number, day in enumerate(impressions):
        out.progress(number, len(impressions), f"features of {day.date}")
        yield day.table(IMPRESSION_COLUMNS)
