"""What a model of pairs of users and items expects of candidates."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .arrays import TINY
from .errors import BundleError
from .features import PAIR_FEATURES
from .manifest import read_json
from .sessions import open_session, run


class Ranker:
    """Expected watch seconds, click and completion probabilities of pairs, and one score made of them."""

    OUTPUTS = ("click_probability", "watch_seconds", "completion_probability")

    def __init__(self, folder: Path) -> None:
        names = tuple(read_json(folder / "ranker.json")["features"])
        if names != PAIR_FEATURES:
            raise BundleError(f"ranker.json: trained on features {names}, but this runtime makes {PAIR_FEATURES}")
        self.session = open_session(folder / "ranker.onnx", 1)

    def predict(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """float32 `[N, C]` by output, of features `[N, C, F]`."""
        flat = {"features": features.reshape(-1, features.shape[-1])}
        found = run(self.session, flat, list(self.OUTPUTS))
        return {n: f.reshape(features.shape[:-1]) for n, f in zip(self.OUTPUTS, found, strict=True)}

    @staticmethod
    def score(predicted: Mapping[str, np.ndarray], settings: Mapping[str, float]) -> np.ndarray:
        """log(click^a * watch^b * completion^c), `[N, C]`."""
        powers = (settings["click_power"], settings["watch_power"], settings["completion_power"])
        parts = zip(Ranker.OUTPUTS, powers, strict=True)
        return sum(power * np.log(np.maximum(predicted[name], TINY)) for name, power in parts)
