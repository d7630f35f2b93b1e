"""Item vectors of the whole catalogue, in shards."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import torch

from models.fit import pinned_threads
from models.retrieval.artifact import SavedTowers
from models.retrieval.catalogue import Encoded
from models.retrieval.config import EmbeddingsConfig


def embed_items(
    towers: SavedTowers,
    items: pa.Table,
    config: EmbeddingsConfig,
    on_progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> Iterator[pa.RecordBatch]:
    """Batches of (item_id, shard, vector), ascending by item_id; vectors have unit length.

    Items go round-robin into the least number of shards that `config.items_per_shard` allows, so that every shard
    is a fair sample of old and new items.
    """
    encoded = Encoded.of(items.sort_by("item_id"), "item_id", towers.item_fields)
    num_items = len(encoded.ids)
    num_shards = max(1, -(-num_items // config.items_per_shard))
    device = next(towers.model.parameters()).device
    for start in range(0, num_items, config.batch_size):
        places = np.arange(start, min(start + config.batch_size, num_items))
        with torch.no_grad(), pinned_threads(config.threads):
            fields = {name: values.to(device) for name, values in encoded.take(places + 1).items()}
            vectors = towers.model.item_vectors(towers.model.item_inputs(fields)).cpu().numpy()
        lists = pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1]).cast(pa.list_(pa.float32()))
        columns = [encoded.ids[places], (places % num_shards).astype(np.int16), lists]
        yield pa.record_batch([pa.array(c) for c in columns], names=["item_id", "shard", "vector"])
        on_progress(len(places) + start, num_items, "items embedded")
