"""Stage `towers`: train the two-tower model on the window's positives."""

from models.retrieval.config import TowersConfig
from tasks.engine.lake import Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import stage
from tasks.stages.groups import Known


@stage(produces="towers", libraries=("torch", "onnx", "safetensors"), memory_gib=1.0, trains="by epoch")
def towers(
    out: Outputs,
    watches: tuple[Artifact, ...],
    known: Known,
    config: TowersConfig,
    searches: tuple[Artifact, ...] = (),
) -> None:
    """Towers trained on the daily `watches` of a window that ends on the day of `known`.

    Args:
        searches: of the same days; a log may have none.
    """
    import datetime
    import shutil

    from models.fit import choose_device
    from models.retrieval.artifact import save_towers, tower_digest
    from models.retrieval.training import train_towers

    user_table, item_table = known.users.table(), known.items.table()
    last_day = datetime.date.fromisoformat(known.items.date)
    scratch = out.folder / "examples"
    scratch.mkdir()
    trained = train_towers(
        [path for day in watches for path in day.files],
        user_table,
        item_table,
        config,
        last_day=last_day,
        scratch=scratch,
        searches=[path for day in searches for path in day.files],
        device=choose_device(out.resources.device),
        on_progress=out.progress,
    )
    shutil.rmtree(scratch)
    folder = out["towers"].path
    save_towers(trained, user_table, item_table, config.history_length, folder)
    out.note(
        tower_digest=tower_digest(folder),
        dim=config.dim,
        trained_to=(last_day - datetime.timedelta(days=config.validation_days)).isoformat(),
        num_examples=trained.num_examples,
        num_validation=trained.num_validation,
        best_epoch=trained.log.best_epoch,
        validation_recall=trained.log.best_metric,
        validation_k=config.validation_k,
    )
