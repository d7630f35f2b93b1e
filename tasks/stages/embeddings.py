"""Stage `embeddings`: a vector for every item of the catalogue."""

from models.retrieval.config import EmbeddingsConfig
from tasks.engine.lake import Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import stage
from tasks.stages.groups import Known


@stage(produces="embeddings", libraries=("torch",), memory_gib=0.8)
def embeddings(out: Outputs, towers: Artifact, known: Known, config: EmbeddingsConfig) -> None:
    """Vectors of the known items by the item tower; the notes say which tower."""
    from expectations.outside_ids import OutsideIds
    from models.fit import choose_device
    from models.retrieval.artifact import load_towers, tower_digest
    from models.retrieval.embedding import embed_items

    saved = load_towers(towers.path, choose_device(out.resources.device))
    outside = OutsideIds(known.id_map.table())
    out["embeddings"].write(map(outside.beside, embed_items(saved, known.items.table(), config, out.progress)))
    out.note(tower_digest=tower_digest(towers.path), dim=saved.model.dim)
