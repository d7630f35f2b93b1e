"""How whatever takes long tells how far it has come."""

from collections.abc import Callable
from typing import Self

OnProgress = Callable[[int, int, str], None]
"""Called with work done, work in all, and what is being done."""


class EpochProgress(str):
    """An epoch of a training as a line for people, with its figures for whoever decides by them.

    Attributes:
        loss: mean over the epoch.
        metric: of the validation, larger is better; None where there is none.
    """

    loss: float
    metric: float | None

    def __new__(cls, number: int, loss: float, metric: float | None) -> Self:
        validation = "" if metric is None else f", validation {metric:.4f}"
        made = super().__new__(cls, f"epoch {number}: loss {loss:.4f}{validation}")
        made.loss, made.metric = loss, metric
        return made
