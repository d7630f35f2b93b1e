"""Scores of candidates, and how the systems mix them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .errors import BundleError
from .features import PAIR_FEATURES
from .manifest import read_json
from .sessions import open_session, run

TINY = 1e-9  # smallest score or probability whose logarithm is taken


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


def score_shares(system: str, settings: Mapping[str, float]) -> dict[str, float]:
    """Weight of each model's score in a system's; together 1."""
    if system == "netflix":
        share = settings["foundation_weight"]
        return {"transformer_score": share, "als_score": 1 - share}
    cf, engagement = settings["cf_weight"], settings["engagement_weight"]
    own = (1 - cf) * (1 - engagement)
    return {"transformer_score": own, "engagement_score": (1 - cf) * engagement, "als_score": cf}


def standardised(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Values `[N, C]` less the mean of each row's kept ones, over their standard deviation; 0 elsewhere."""
    count = np.maximum(np.count_nonzero(kept, axis=1, keepdims=True), 1)
    values = np.where(kept, values, 0).astype(np.float64)
    centred = np.where(kept, values - values.sum(axis=1, keepdims=True) / count, 0)
    deviation = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)
    return centred / np.maximum(deviation, TINY)
