"""The folder of a trained transformer: written once, read for its vectors, and copied in part into a bundle."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from models.encoding import EncoderField
from models.fit import TrainingLog, load_weights, pinned_threads, save_weights, write_settings
from models.interactions import Floats
from models.retrieval.catalogue import Encoded
from models.sequence.export import export_transformer
from models.sequence.network import Shape, Transformer
from models.sequence.reading import WORDS
from models.sequence.sentences import ACTIONS, PLAY, Sentences

SERVING_FILES = ("transformer.onnx", "transformer.json")
"""What a bundle copies."""

_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Foundation:
    """A trained transformer with the fields that feed its titles."""

    model: Transformer
    item_fields: list[EncoderField]

    def title_vectors(self, items: pa.Table) -> Floats:
        """float32 `[I, D]` of a catalogue that is ascending by item_id."""
        encoded = Encoded.of(items, "item_id", self.item_fields)
        with torch.no_grad():
            fields = encoded.take(np.arange(1, len(encoded.ids) + 1))
            device = next(self.model.parameters()).device
            vectors = self.model.title_vectors({name: values.to(device) for name, values in fields.items()})
        return vectors.cpu().numpy()

    def member_vectors(self, sentences: Sentences, titles_ID: Floats, threads: int = 1) -> Floats:
        """float32 `[U, D]` after every member's newest tokens; the sentences' items are rows of `titles_ID`."""
        device = next(self.model.parameters()).device
        titles = torch.from_numpy(titles_ID).to(device)
        vectors = np.empty((len(sentences), self.model.shape.dim), dtype=np.float32)
        with torch.no_grad(), pinned_threads(threads):
            for start in range(0, len(sentences), _ROWS_AT_ONCE):
                rows = np.arange(start, min(start + _ROWS_AT_ONCE, len(sentences)))
                newest = sentences.newest(rows, self.model.shape.max_tokens)
                tokens = {name: torch.from_numpy(values).to(device) for name, values in newest.items()}
                vectors[rows] = self.model.member_vectors(tokens, titles).cpu().numpy()
        return vectors


def save_foundation(foundation: Foundation, log: TrainingLog, items: pa.Table, folder: Path) -> None:
    """Write `weights.safetensors`, `encoders.json`, `model.json`, `training_log.json`, and for serving
    `transformer.onnx` with `transformer.json` (how a play is told to it).

    Args:
        items: the catalogue that the model was trained on, ascending by item_id.

    Raises:
        Failure: an ONNX graph that does not say the same as the model.
    """
    model = foundation.model.cpu().eval()
    save_weights(model, folder / "weights.safetensors")
    write_settings(folder / "encoders.json", {"item": foundation.item_fields})
    write_settings(folder / "model.json", dataclasses.asdict(model.shape))
    serving = {"max_tokens": model.shape.max_tokens, "num_words": WORDS, "play": PLAY, "actions": ACTIONS}
    write_settings(folder / "transformer.json", {**serving, "dim": model.shape.dim})
    log.save(folder / "training_log.json")
    titles = foundation.title_vectors(items)
    export_transformer(model, items["item_id"].to_numpy(), titles, WORDS, folder / "transformer.onnx")


def load_foundation(folder: Path, device: torch.device | str = "cpu") -> Foundation:
    """Read what `save_foundation` wrote; the model is in eval mode on `device`."""
    fields = json.loads((folder / "encoders.json").read_text())["item"]
    model = Transformer(fields, Shape(**json.loads((folder / "model.json").read_text())))
    load_weights(model, folder / "weights.safetensors")
    return Foundation(model.to(device).eval(), fields)


def foundation_digest(folder: Path) -> str:
    """sha256 of the weights: member and title vectors belong together when they carry the same one."""
    return hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
