"""Stage `embeddings`: a vector for every item of the catalogue."""

from models.retrieval.config import EmbeddingsConfig
from tasks.engine.lake import Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import stage


@stage(produces="embeddings", libraries=("torch",), memory_gib=0.8)
def embeddings(out: Outputs, towers: Artifact, items: Artifact, config: EmbeddingsConfig) -> None:
    """Vectors of `items` by the item tower; the notes say which tower."""
    from models.fit import choose_device
    from models.retrieval.artifact import load_towers, tower_digest
    from models.retrieval.embedding import embed_items

    saved = load_towers(towers.path, choose_device(out.resources.device))
    out["embeddings"].write(embed_items(saved, items.table(), config, out.progress))
    out.note(tower_digest=tower_digest(towers.path), dim=saved.model.dim)
