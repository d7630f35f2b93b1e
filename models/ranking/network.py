"""The ranker's network: one input of raw pair features, three tasks.

The tasks share a bottom, or a multi-gate mixture of experts (Ma et al. 2018, "Modeling Task Relationships in
Multi-task Learning with Multi-gate Mixture-of-Experts", KDD). The place on the page enters beside them, as a bias
added to the logits (the shallow tower of Zhao et al. 2019, "Recommending What Video to Watch Next", RecSys): serving
names place 0, no place in particular, and whatever place it named could not change how items compare.

Shapes: N examples, F features, C content features (all but the place), H hidden, E experts, T tasks, P places.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

TASKS = ("click", "watch", "completion")
CLICK, WATCH, COMPLETION = range(len(TASKS))
CLIP = 5.0
HEAVY_TAIL_SKEWNESS = 2.0


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What is needed to build the network again before its weights are loaded.

    Attributes:
        position: column of the place on the page, from 1; 0 is no place in particular. It never reaches the experts.
        position_bias: add a learnt bias of the place to the logits.
        max_position: places below this one share its bias.
    """

    num_features: int
    position: int
    hidden: tuple[int, ...]
    num_experts: int = 1
    position_bias: bool = True
    max_position: int = 50


class Ranker(nn.Module):
    """Raw features `[N, F]` -> logits `[N, T]` of click, watch time and completion."""

    content_C: Tensor
    log1p_C: Tensor
    mean_C: Tensor
    scale_C: Tensor
    position_share_P: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        content = [i for i in range(shape.num_features) if i != shape.position]
        self.register_buffer("content_C", torch.tensor(content))
        for name in ("log1p_C", "mean_C", "scale_C"):
            self.register_buffer(name, torch.ones(len(content)))
        self.experts = nn.ModuleList(_mlp(len(content), shape.hidden) for _ in range(shape.num_experts))
        num_gates = len(TASKS) if shape.num_experts > 1 else 0
        self.gates = nn.ModuleList(nn.Linear(len(content), shape.num_experts) for _ in range(num_gates))
        self.heads = nn.ModuleList(nn.Linear(shape.hidden[-1], 1) for _ in TASKS)
        if shape.position_bias:
            self.position_bias_PT = nn.Parameter(torch.zeros(shape.max_position, len(TASKS)))
            self.register_buffer("position_share_P", torch.zeros(shape.max_position))

    @torch.no_grad()
    def prepare(self, features_NF: np.ndarray, base_logits_T: np.ndarray, place_effects_PT: np.ndarray) -> None:
        """Learn normalisation from training rows, NaN where not known; start every head at its base rate, and each
        place at its own.

        Heads start at zero weights: a task without a single label then stays at its base rate for every pair.

        Args:
            place_effects_PT: what each place adds to the base rates before anything else is taken into account.
        """
        learnt = [learn_normalisation(features_NF[:, i]) for i in self.content_C.tolist()]
        for buffer, values in zip((self.log1p_C, self.mean_C, self.scale_C), zip(*learnt, strict=True), strict=True):
            buffer.copy_(torch.tensor(values))
        for head, base in zip(self.heads, base_logits_T, strict=True):
            for parameter, value in zip(head.parameters(), (0.0, float(base)), strict=True):
                parameter.fill_(value)
        if self.shape.position_bias:
            self.position_bias_PT.copy_(torch.from_numpy(place_effects_PT))
            places_N = features_NF[:, self.shape.position].clip(0, self.shape.max_position).astype(np.int64)
            counts_P = np.bincount(places_N, minlength=self.shape.max_position + 1)[1:]
            self.position_share_P.copy_(torch.from_numpy(counts_P / max(counts_P.sum(), 1)))

    @torch.no_grad()
    def typical(self) -> np.ndarray:
        """The raw feature values `[F]` that are the mean after normalisation: what stands for a value not known."""
        mean_C = torch.where(self.log1p_C > 0, self.mean_C.expm1(), self.mean_C)
        return torch.zeros(self.shape.num_features).index_copy(0, self.content_C, mean_C).numpy()

    def forward(self, features_NF: Tensor) -> Tensor:
        inputs_NC = self._normalised(features_NF)
        experts_NEH = torch.stack([expert(inputs_NC) for expert in self.experts], dim=1)
        mixed = [experts_NEH[:, 0]] * len(TASKS)
        if self.shape.num_experts > 1:
            gates = [torch.softmax(gate(inputs_NC), dim=1) for gate in self.gates]
            mixed = [(gate_NE.unsqueeze(2) * experts_NEH).sum(dim=1) for gate_NE in gates]
        logits_NT = torch.cat([head(task_NH) for head, task_NH in zip(self.heads, mixed, strict=True)], dim=1)
        if not self.shape.position_bias:
            return logits_NT
        places_N = features_NF[:, self.shape.position].clamp(0, self.shape.max_position).long()
        return logits_NT + self.place_biases()[places_N]

    def place_biases(self) -> Tensor:
        """What each place adds to the logits, `[1 + P, T]`; first no place: the mean of those seen in training."""
        mean_T = self.position_share_P @ self.position_bias_PT
        return torch.cat([mean_T.unsqueeze(0), self.position_bias_PT])

    def _normalised(self, features_NF: Tensor) -> Tensor:
        raw_NC = features_NF.index_select(1, self.content_C)
        inputs_NC = torch.where(self.log1p_C > 0, torch.log1p(raw_NC.clamp(min=0)), raw_NC)
        return ((inputs_NC - self.mean_C) * self.scale_C).clamp(-CLIP, CLIP)


class ServedRanker(nn.Module):
    """Raw features `[N, F]` -> what serving asks for: click probability, expected seconds, completion probability.

    Args:
        seconds_per_odds: unit of watch time in training, seconds (see `losses.watch_time_loss`).
        max_watch_s: no more is ever expected than training counted, seconds.
    """

    def __init__(self, ranker: Ranker, seconds_per_odds: float, max_watch_s: float) -> None:
        super().__init__()
        self.ranker = ranker
        self.seconds_per_odds = seconds_per_odds
        self.max_watch_s = max_watch_s

    @property
    def highest_watch_logit(self) -> float:
        return math.log(self.max_watch_s / self.seconds_per_odds)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits_NT = self.ranker(features)
        # Clamped before exp, where an outlier would be infinite.
        odds_N = logits_NT[:, WATCH].clamp(max=self.highest_watch_logit).exp()
        return logits_NT[:, CLICK].sigmoid(), odds_N * self.seconds_per_odds, logits_NT[:, COMPLETION].sigmoid()


def learn_normalisation(values_N: np.ndarray) -> tuple[float, float, float]:
    """One column's (1.0 where log1p comes first, mean, 1 / standard deviation), of those values that are not NaN.

    What is never negative and skewed to the right (counts, seconds) is heavy-tailed and gets log1p. A column that
    never varied in training has scale 0: nothing was learnt about what it might be later.
    """
    values_N = values_N[~np.isnan(values_N)].astype(np.float64)
    if len(values_N) == 0 or np.ptp(values_N) == 0:
        return 0.0, 0.0, 0.0
    log1p = bool(values_N.min() >= 0) and _skewness(values_N) > HEAVY_TAIL_SKEWNESS
    if log1p:
        values_N = np.log1p(values_N)
    return float(log1p), float(values_N.mean()), 1 / float(values_N.std())


def _skewness(values_N: np.ndarray) -> float:
    centred_N = values_N - values_N.mean()
    return float((centred_N**3).mean() / (centred_N**2).mean() ** 1.5)


def _mlp(num_inputs: int, hidden: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(num_inputs, width), nn.ReLU()]
        num_inputs = width
    return nn.Sequential(*layers)
