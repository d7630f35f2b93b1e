"""The one epoch loop: every trained model of the project goes through `fit`.

Repeatable: on CPU the same model, batches and `FitConfig` give bitwise the same weights. For that the loop pins the
thread count, asks torch for deterministic algorithms and draws nothing itself; initial weights come from
`initialise`, which has its own generator (stages train side by side in threads of one process, so torch's global
seed belongs to nobody). Use no `nn.Dropout`, which draws from it: drop inputs while batches are built.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from expectations.errors import Failure, UserError
from expectations.progress import EpochProgress, OnProgress
from models.config import FitConfig

Batch = Mapping[str, Tensor]
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Epoch:
    """One pass: mean training loss over its steps, and the validation metric after it (None without validation)."""

    epoch: int
    steps: int
    loss: float
    metric: float | None


@dataclass(frozen=True)
class TrainingLog:
    """What happened, epoch by epoch from 1, and the epoch whose weights the model has now."""

    epochs: tuple[Epoch, ...]
    best_epoch: int

    @property
    def best_metric(self) -> float | None:
        return self.epochs[self.best_epoch - 1].metric

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def fit(
    model: nn.Module,
    batches: Callable[[int], Iterable[Batch]],
    loss: Callable[[nn.Module, Batch], Tensor],
    config: FitConfig,
    *,
    validate: Callable[[nn.Module], float] | None = None,
    device: torch.device | str = "cpu",
    on_progress: OnProgress = lambda done, total, what: None,
) -> TrainingLog:
    """Train `model` in place; afterwards it is on `device`, in eval mode, with the weights of its best epoch.

    Args:
        batches: epoch (from 1) -> the batches of that epoch, as named tensors; a stream, never held whole.
        loss: model and batch (already on `device`) -> mean loss, a scalar.
        validate: model in eval mode, without gradients -> metric, larger is better. With it training stops after
            `config.patience` epochs without a better metric; without it all `max_epochs` run and the last is kept.
        on_progress: called after every epoch with (epoch, max_epochs, words for people).

    Raises:
        Failure: a loss, a gradient norm or a validation metric that is not finite, or an epoch without batches.
    """
    with pinned_threads(config.threads):
        return _fit(model.to(device), batches, loss, config, validate, torch.device(device), on_progress)


def _fit(
    model: nn.Module,
    batches: Callable[[int], Iterable[Batch]],
    loss: Callable[[nn.Module, Batch], Tensor],
    config: FitConfig,
    validate: Callable[[nn.Module], float] | None,
    device: torch.device,
    on_progress: OnProgress,
) -> TrainingLog:
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    epochs: list[Epoch] = []
    best = 0
    best_weights: dict[str, Tensor] = {}
    for epoch in range(1, config.max_epochs + 1):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * _rate_share(epoch, config)
        mean_loss, steps = _train_epoch(model, optimiser, batches(epoch), loss, config, epoch, device)
        metric = None if validate is None else _validated(model, validate, epoch)
        epochs.append(Epoch(epoch=epoch, steps=steps, loss=mean_loss, metric=metric))
        on_progress(epoch, config.max_epochs, EpochProgress(epoch, mean_loss, metric))
        if metric is None or best == 0 or metric > (epochs[best - 1].metric or 0.0):
            best = epoch
            best_weights = {} if metric is None else {k: v.detach().clone() for k, v in model.state_dict().items()}
        elif epoch - best >= config.patience:
            break
    if best_weights:
        model.load_state_dict(best_weights)
    model.eval()
    return TrainingLog(epochs=tuple(epochs), best_epoch=best)


def _train_epoch(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    batches: Iterable[Batch],
    loss: Callable[[nn.Module, Batch], Tensor],
    config: FitConfig,
    epoch: int,
    device: torch.device,
) -> tuple[float, int]:
    model.train()
    total, step = 0.0, 0
    for step, batch in enumerate(batches, start=1):
        optimiser.zero_grad(set_to_none=True)
        value = loss(model, {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()})
        total += _finite(value.item(), "loss", epoch, step)
        value.backward()
        if config.max_gradient_norm:
            norm = nn.utils.clip_grad_norm_(model.parameters(), config.max_gradient_norm)
            _finite(norm.item(), "gradient norm", epoch, step)
        optimiser.step()
    if step == 0:
        raise Failure(f"training had no batches in epoch {epoch}: there are no examples to learn from")
    return total / step, step


def _validated(model: nn.Module, validate: Callable[[nn.Module], float], epoch: int) -> float:
    model.eval()
    with torch.no_grad():
        return _finite(float(validate(model)), "validation metric", epoch, None)


def _finite(value: float, what: str, epoch: int, step: int | None) -> float:
    if math.isfinite(value):
        return value
    where = f"epoch {epoch}" + (f", step {step}" if step else "")
    raise Failure(
        f"training stopped: the {what} became {value} in {where}. "
        "Look for NaN in the features, or lower fit.learning_rate or set fit.max_gradient_norm"
    )


def _rate_share(epoch: int, config: FitConfig) -> float:
    past = (epoch - 1) / max(config.max_epochs - 1, 1)
    return 1.0 + past * (config.final_learning_rate_share - 1.0)


@contextmanager
def pinned_threads(threads: int) -> Iterator[None]:
    """Fix torch's CPU threads for this thread's sums and ask for deterministic algorithms, which stay asked for.

    torch keeps the count per calling thread, so stages side by side do not disturb each other's sums.
    """
    before = torch.get_num_threads()
    # Never switched back: another stage may be training in the same process. `warn_only`: CUDA lacks some kernels.
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Else every new tensor is first filled with NaN, a twentieth of a step. Nothing here reads what it has not written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def initialise(model: M, seed: int, *, embedding_std: float = 0.05) -> M:
    """Draw all weights of `model` anew from a generator of its own: linear layers as torch does by default
    (uniform within 1/sqrt(inputs)), embeddings normal with `embedding_std` and a zero padding row.

    Parameters of other layers keep the values that they were built with.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                bound = 1 / math.sqrt(module.in_features)
                module.weight.uniform_(-bound, bound, generator=generator)
                if module.bias is not None:
                    module.bias.uniform_(-bound, bound, generator=generator)
            elif isinstance(module, nn.Embedding | nn.EmbeddingBag):
                module.weight.normal_(0.0, embedding_std, generator=generator)
                if module.padding_idx is not None:
                    module.weight[module.padding_idx] = 0.0
    return model


def choose_device(device: str) -> torch.device:
    """`auto` (CUDA when there is one), `cpu` or `cuda` -> device. Raises UserError for `cuda` where there is none."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("resources.device is cuda, but torch sees no CUDA device: set it to auto or cpu")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def save_weights(model: nn.Module, path: Path) -> None:
    """Write all parameters and buffers as safetensors; the bytes follow from the values."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}, path)


def load_weights(model: nn.Module, path: Path) -> None:
    """Read what `save_weights` wrote into a model of the same shape, in place."""
    model.load_state_dict(load_file(path))


def write_settings(path: Path, value: object) -> None:
    """Write as JSON what is needed beside weights to make their model again."""
    path.write_text(json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n")
