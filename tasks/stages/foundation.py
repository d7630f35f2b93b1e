"""Stages `transformer` and `foundation_embeddings`: a model of what members do next, and its vectors as artifacts of
their own, for whoever has a use for them.
"""

from models.sequence.config import TransformerConfig
from tasks.engine.lake import Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import stage
from tasks.stages.groups import FoundationVectors, Known


@stage(produces="transformer", libraries=("torch", "onnx", "safetensors"), memory_gib=1.0, trains="by epoch")
def transformer(out: Outputs, sentences: Artifact, items: Artifact, config: TransformerConfig) -> None:
    """A causal transformer trained on the `sentences` of a window that ends on the day of the `items` snapshot."""
    import datetime

    from models.fit import choose_device
    from models.sequence.artifact import foundation_digest, save_foundation
    from models.sequence.night import train_foundation

    catalogue = items.table().sort_by("item_id")
    last_day = datetime.date.fromisoformat(items.date)
    trained = train_foundation(
        sentences.table(),
        catalogue,
        config,
        last_day=last_day,
        device=choose_device(out.resources.device),
        on_progress=out.progress,
    )
    folder = out["transformer"].path
    save_foundation(trained.foundation, trained.log, catalogue, folder)
    out.note(
        foundation_digest=foundation_digest(folder),
        dim=config.dim,
        trained_to=(last_day - datetime.timedelta(days=config.validation_days)).isoformat(),
        num_examples=trained.num_examples,
        num_validation=trained.num_validation,
        best_epoch=trained.log.best_epoch,
        validation_recall=trained.log.best_metric,
        validation_k=config.validation_k,
    )


@stage(produces=FoundationVectors, libraries=("torch",), memory_gib=1.0)
def foundation_embeddings(
    out: Outputs, transformer: Artifact, sentences: Artifact, known: Known, threads: int = 1
) -> None:
    """Vectors of everybody and everything; members who did nothing have the vector of an empty sentence."""
    import numpy as np

    from expectations.outside_ids import OutsideIds
    from models.fit import choose_device
    from models.runtime.arrays import vector_table
    from models.sequence.artifact import foundation_digest, load_foundation
    from models.sequence.reading import everybody, read_sentences

    foundation = load_foundation(transformer.path, choose_device(out.resources.device))
    catalogue = known.items.table().sort_by("item_id")
    item_ids, titles = catalogue["item_id"].to_numpy(), foundation.title_vectors(catalogue)
    user_ids = np.sort(known.users.table(["user_id"])["user_id"].to_numpy())
    told = everybody(sentences.table(), user_ids)
    members = foundation.member_vectors(read_sentences(told, item_ids), titles, threads)
    outside = OutsideIds(known.id_map.table())
    vectors = {"member_embeddings": ("user_id", user_ids, members), "title_embeddings": ("item_id", item_ids, titles)}
    for name, columns in vectors.items():
        out[name].write(map(outside.beside, vector_table(*columns).to_batches()))
    out.note(foundation_digest=foundation_digest(transformer.path), dim=foundation.model.shape.dim)
