"""Train the ranker on assembled examples and measure it on later ones.

On the CPU always: the network is so small that a GPU would wait for its batches, and sums differ between devices.

Shapes: N rows, F features, T tasks.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from expectations.errors import Failure
from expectations.progress import OnProgress
from models.fit import Batch, TrainingLog, fit, initialise, pinned_threads
from models.metrics.pointwise import auc, calibration_ratio, grouped_auc
from models.ranking.config import RankerConfig
from models.ranking.examples import Examples
from models.ranking.labels import Rows
from models.ranking.losses import click_loss, completion_loss, watch_time_loss
from models.ranking.network import CLICK, COMPLETION, WATCH, Ranker, ServedRanker, Shape

EVALUATION_ROWS = 65_536
POSITION = "position"
SERVED_POSITION = 0
PRIOR_ROWS = 100


@dataclass(frozen=True)
class TrainedRanker:
    """The model as served, how training went, and its figures on the held-out rows (empty without any)."""

    model: ServedRanker
    log: TrainingLog
    quality: dict[str, float]


def train(
    training: Examples,
    validation: Examples,
    feature_names: tuple[str, ...],
    config: RankerConfig,
    *,
    on_progress: OnProgress = lambda done, total, what: None,
) -> TrainedRanker:
    """Train on `training`; stop early and measure on `validation`, which may be empty.

    Raises:
        Failure: without a single watched row there is nothing to learn.
    """
    if not training.rows.watch_s.any():
        raise Failure(
            f"the ranker has nothing to learn: none of its {len(training):,} training rows was watched. Check that "
            "request_id and item_id of watches and impressions agree, or give it more days"
        )
    unit_s = float(np.average(training.rows.watch_s, weights=training.rows.weight))
    with pinned_threads(config.fit.threads):
        model = build(training, feature_names, config)
    training, validation = (examples.filled(model.typical()) for examples in (training, validation))
    weights_T = torch.tensor([config.click_weight, config.watch_weight, config.completion_weight])
    exact = config.watch_odds == "exact"

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return _mean_loss(*task_losses(model(batch["features"]), batch, exact), weights_T)

    def validate(model: nn.Module) -> float:
        parts = [
            task_losses(model(batch["features"]), batch, exact)
            for batch in _batches(validation, np.arange(len(validation)), EVALUATION_ROWS, unit_s)
        ]
        sums_T, totals_T = (torch.stack(column).sum(dim=0) for column in zip(*parts, strict=True))
        return -float(_mean_loss(sums_T, totals_T, weights_T))

    log = fit(
        model,
        lambda epoch: _batches(training, _order(training, config.seed, epoch), config.batch_size, unit_s),
        loss,
        config.fit,
        validate=validate if len(validation) else None,
        on_progress=on_progress,
    )
    served = ServedRanker(model, unit_s, config.max_watch_s).eval()
    with pinned_threads(config.fit.threads):
        return TrainedRanker(served, log, measure(served, validation))


def build(training: Examples, feature_names: tuple[str, ...], config: RankerConfig) -> Ranker:
    """A ranker with drawn weights, learnt normalisation, and heads at the base rates of `training`."""
    shape = Shape(
        num_features=len(feature_names),
        hidden=config.hidden,
        num_experts=config.num_experts,
        position=feature_names.index(POSITION),
        position_bias=config.position_bias,
        max_position=config.max_position,
    )
    model = Ranker(shape)
    initialise(model, config.seed)
    rows = training.rows
    known = ~np.isnan(rows.completed)
    click = _logit(np.average(rows.click, weights=rows.weight))
    completed = _logit(rows.completed[known].mean()) if known.any() else 0.0
    # Time is counted in units of its mean, so the odds start at 1, or at 1 / (1 - P(click)).
    watch = 0.0 if config.watch_odds == "exact" else np.logaddexp(0, click)
    model.prepare(training.features, np.array([click, watch, completed]), place_effects(rows, config.max_position))
    return model


def place_effects(rows: Rows, max_position: int) -> np.ndarray:
    """How much the logits of click and watch time at each place differ from the overall ones: `[P, T]`.

    A start for the optimiser, which could not walk that far with small steps. Rare places are drawn to the rest.
    """
    places_N = np.clip(rows.position, 0, max_position).astype(np.int64)

    def mean_P(values_N: np.ndarray) -> tuple[np.ndarray, float]:
        overall = float(np.average(values_N, weights=rows.weight))
        total_P = np.bincount(places_N, weights=values_N * rows.weight, minlength=max_position + 1)[1:]
        weight_P = np.bincount(places_N, weights=rows.weight, minlength=max_position + 1)[1:]
        return (total_P + PRIOR_ROWS * overall) / (weight_P + PRIOR_ROWS), overall

    (click_P, click), (watch_P, watch) = mean_P(rows.click), mean_P(rows.watch_s)
    return np.stack([_logit(click_P) - _logit(click), np.log(watch_P / watch), np.zeros(max_position)], axis=1)


def _logit(rate: Any) -> Any:
    rate = np.clip(rate, 1e-3, 1 - 1e-3)
    return np.log(rate / (1 - rate))


def task_losses(logits_NT: Tensor, batch: Batch, exact: bool) -> tuple[Tensor, Tensor]:
    """Weighted sum of every task's loss `[T]`, and the weight `[T]` of the rows that it is over."""
    losses = [
        click_loss(logits_NT[:, CLICK], batch["click"]),
        watch_time_loss(logits_NT[:, WATCH], batch["watch"], batch["click"], exact=exact),
        completion_loss(logits_NT[:, COMPLETION], batch["completed"]),
    ]
    sums_T = torch.stack([(batch["weight"] * loss_N).sum() for loss_N in losses])
    weight = batch["weight"].sum()
    known = (batch["weight"] * ~torch.isnan(batch["completed"])).sum()
    return sums_T, torch.stack([weight, weight, known])


def _mean_loss(sums_T: Tensor, totals_T: Tensor, weights_T: Tensor) -> Tensor:
    return (weights_T * sums_T / totals_T.clamp(min=1)).sum()


def _order(examples: Examples, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(len(examples))


def _batches(examples: Examples, order: np.ndarray, batch_size: int, unit_s: float) -> Iterator[Batch]:
    """Batches of nearly one size: a small last one would step as far as the others, on noise."""
    for rows in np.array_split(order, math.ceil(len(order) / batch_size)):
        arrays = {
            "features": examples.features[rows],
            "click": examples.rows.click[rows],
            "watch": examples.rows.watch_s[rows] / np.float32(unit_s),
            "completed": examples.rows.completed[rows],
            "weight": examples.rows.weight[rows],
        }
        yield {name: torch.from_numpy(array) for name, array in arrays.items()}


def predict(served: ServedRanker, features_NF: np.ndarray) -> np.ndarray:
    """Click probability, expected seconds and completion probability, `[3, N]`."""
    parts = []
    with torch.no_grad():
        for start in range(0, len(features_NF), EVALUATION_ROWS):
            chunk = torch.from_numpy(features_NF[start : start + EVALUATION_ROWS])
            parts.append(torch.stack(served(chunk)).numpy())
    return np.concatenate(parts, axis=1)


def measure(served: ServedRanker, held_out: Examples) -> dict[str, float]:
    """Figures on rows that training has not seen; those that cannot be computed are left out.

    `click_auc`, `click_gauc` (within a user), `watch_gauc` (watched or not, by expected seconds) and `completion_auc`
    are taken as served, in no place in particular. `watch_calibration` (expected / watched seconds) is taken at
    the places where items were shown, since it is compared with what happened there.
    """
    if len(held_out) == 0:
        return {}
    as_shown = predict(served, held_out.features)
    as_served = as_shown
    if served.ranker.shape.position_bias:
        features = held_out.features.copy()
        features[:, served.ranker.shape.position] = SERVED_POSITION
        as_served = predict(served, features)
    known, weight = ~np.isnan(held_out.rows.completed), held_out.rows.weight
    figures = {
        "click_auc": auc(held_out.rows.click, as_served[CLICK]),
        "click_gauc": grouped_auc(held_out.rows.user_id, held_out.rows.click, as_served[CLICK]),
        "watch_gauc": grouped_auc(held_out.rows.user_id, held_out.rows.click, as_served[WATCH]),
        "watch_calibration": calibration_ratio(as_shown[WATCH] * weight, held_out.rows.watch_s * weight),
        "completion_auc": auc(held_out.rows.completed[known], as_served[COMPLETION][known]) if known.any() else None,
    }
    return {name: round(value, 4) for name, value in figures.items() if value is not None}
