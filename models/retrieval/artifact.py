"""The folder of a trained two-tower model: written once, read for item vectors, and copied in part into a bundle."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch

from models.encoding import EncoderField
from models.fit import load_weights, save_weights, write_settings
from models.retrieval.catalogue import Encoded
from models.retrieval.export import export_item_tower, export_user_tower
from models.retrieval.towers import TwoTowers
from models.retrieval.training import TrainedTowers

SERVING_FILES = ("user_tower.onnx", "item_tower.onnx", "encoders.json")
"""What a bundle copies."""


def save_towers(trained: TrainedTowers, users: pa.Table, items: pa.Table, history_length: int, folder: Path) -> None:
    """Write weights (safetensors), `encoders.json`, `model.json`, `training_log.json` and both towers as ONNX.

    Args:
        users, items: the catalogue that the model was trained on.

    Raises:
        Failure: an ONNX graph that does not say the same as the model.
    """
    model = trained.model.cpu()
    save_weights(model, folder / "weights.safetensors")
    encoders = {"user": trained.user_fields, "item": trained.item_fields, "history_length": history_length}
    write_settings(folder / "encoders.json", encoders)
    shape = {"dim": model.dim, "hidden": model.hidden, "recent": model.recent}
    shape |= {"example_age": model.example_age is not None}
    write_settings(folder / "model.json", shape)
    trained.log.save(folder / "training_log.json")
    of_catalogue = [field for field in trained.user_fields if field["kind"] != "hashed"]
    encoded_users = Encoded.of(users.sort_by("user_id"), "user_id", of_catalogue)
    encoded_items = Encoded.of(items.sort_by("item_id"), "item_id", trained.item_fields)
    export_item_tower(model, encoded_items, folder / "item_tower.onnx")
    export_user_tower(model, encoded_users, encoded_items, history_length, folder / "user_tower.onnx")


@dataclass(frozen=True)
class SavedTowers:
    """A model read from its folder, with the encoders that feed it."""

    model: TwoTowers
    user_fields: list[EncoderField]
    item_fields: list[EncoderField]


def load_towers(folder: Path, device: torch.device | str = "cpu") -> SavedTowers:
    """Read what `save_towers` wrote; the model is in eval mode on `device`."""
    encoders = json.loads((folder / "encoders.json").read_text())
    shape = json.loads((folder / "model.json").read_text())
    model = TwoTowers(encoders["user"], encoders["item"], **shape)
    load_weights(model, folder / "weights.safetensors")
    return SavedTowers(model.to(device).eval(), encoders["user"], encoders["item"])


def tower_digest(folder: Path) -> str:
    """sha256 of the weights: vectors, index and query tower belong together when they carry the same one."""
    return hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
