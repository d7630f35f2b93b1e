"""Chapters about what was trained and indexed: loss curves, and what the index finds for how much work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.index.config import PARAMETER, TYPES_IN_WORDS, IndexType
from models.runtime.scores import RANKER
from models.runtime.systems import SYSTEMS
from tasks.pages.data import Cell, Figure, Section, Table
from tasks.pages.plots import lines

IN_WORDS = {"towers": "two towers"}
"""What people call a trained model whose dataset is called otherwise."""


def used_for(name: str, model: str) -> str:
    """What a system asks a trained model for; what is trained for nothing else serves the other systems of the day.

    Args:
        model: `ranker`, or the source that it is.
    """
    system = SYSTEMS[name]
    proposes = model != RANKER and (not system.sources or model in system.sources)
    # A source that proposes alone decides the order where that of retrieval counts.
    alone = system.sources == (model,) and "retrieval_order" in system.without
    uses = ["candidates"] * proposes + ["order"] * (model in system.asks or alone)
    if model == "towers":
        uses += ["variety"] if uses else ["variety", "similar items"]
    return ", ".join(uses) or "nothing here"


@dataclass(frozen=True)
class TrainedModel:
    """A model's name, its `training_log.json` and the words for its validation metric.

    Attributes:
        used_for: what the night's system asks it for.
        is_loss: the metric is a loss with its sign turned, as training wants larger to be better.
    """

    name: str
    log: Mapping[str, Any]
    metric: str
    used_for: str
    is_loss: bool = False

    def measured(self, epoch: Mapping[str, Any]) -> float | None:
        """The metric after an epoch, as people read it."""
        value = epoch["metric"]
        return -value if self.is_loss and value is not None else value


def training_section(models: Sequence[TrainedModel]) -> Section:
    """Loss and validation metric by epoch, for every model of the night."""
    figures = [figure for model in models for figure in _curves(model)]
    rows: list[tuple[Cell, ...]] = []
    for model in models:
        epochs = model.log["epochs"]
        best = epochs[model.log["best_epoch"] - 1]
        rows.append(
            (
                model.name,
                model.used_for,
                len(epochs),
                best["epoch"],
                best["steps"],
                best["loss"],
                model.metric,
                model.measured(best),
            )
        )
    table = Table(
        "training", "Trained models",
        "The weights of the kept epoch are the ones in the release; training stops when the validation metric no "
        "longer improves.",
        ("model", "used for", "epochs", "kept", "steps an epoch", "loss", "validation metric", "value"), tuple(rows),
        digits=4,
    )  # fmt: skip
    lead = (
        "Curves that still fall at the end ask for more epochs; a validation metric that turns down while the loss "
        "falls on is overfitting, and training stops there."
    )
    return Section("training", "Training", "Training", lead, tuple(figures), (table,))


def _curves(model: TrainedModel) -> list[Figure]:
    epochs = model.log["epochs"]
    numbers = [e["epoch"] for e in epochs]
    marks = {"kept": float(model.log["best_epoch"])}
    slug = model.name.replace(" ", "-")
    ticks = [n for n in numbers if len(numbers) <= 12 or n % -(-len(numbers) // 8) == 0]
    figures = [
        Figure(
            f"{model.name}: training loss",
            "Mean loss over the examples of each pass. The axis does not start at zero: only the shape matters.",
            lines(f"loss-{slug}", {"loss": (numbers, [e["loss"] for e in epochs])}, "epoch", "training loss",
                  marks=marks, xticks=ticks, height_in=2.3),
        )
    ]  # fmt: skip
    measured = [(e["epoch"], value) for e in epochs if (value := model.measured(e)) is not None]
    if measured:
        xs, ys = zip(*measured, strict=True)
        figures.append(
            Figure(
                f"{model.name}: {model.metric}",
                f"On days after those trained on; {'lower' if model.is_loss else 'higher'} is better. The dashed line "
                "marks the epoch that was kept.",
                lines(f"metric-{slug}", {"validation": (xs, ys)}, "epoch", model.metric, marks=marks, xticks=ticks,
                      height_in=2.3),
            )
        )  # fmt: skip
    return figures


@dataclass(frozen=True)
class IndexFacts:
    """The vector index: its type, and the recall at each search parameter tried (None where the type has none)."""

    type: IndexType
    rungs: Sequence[tuple[int | None, float]]
    min_recall: float
    k: int
    num_items: int


def index_section(facts: IndexFacts) -> Section:
    """What the index finds of the exact answer."""
    figures = []
    if len(facts.rungs) > 1:
        xs, ys = zip(*facts.rungs, strict=True)
        name = PARAMETER[facts.type]
        figures.append(
            Figure(
                f"Recall@{facts.k} by search effort",
                f"Share of the exact nearest {facts.k} items that a search with this {name} finds. The least effort "
                "above the dashed bar is served.",
                lines("index", {facts.type: (xs, ys)}, f"{name} (more is slower)", f"recall@{facts.k}", xticks=xs,
                      log_x=True, bar=(facts.min_recall, f"least recall to be published, {facts.min_recall:g}")),
            )
        )  # fmt: skip
    rows = tuple(
        (TYPES_IN_WORDS[facts.type], p if p is not None else "exact", r, facts.min_recall) for p, r in facts.rungs
    )
    table = Table(
        "index", "Search parameters tried", "Measured on the vectors of real users against exhaustive search.",
        ("type", "search parameter", f"recall@{facts.k}", "bar"), rows, digits=4,
    )  # fmt: skip
    how = TYPES_IN_WORDS[facts.type]
    lead = (
        f"Answered by {how} over {facts.num_items:,} items, held to {facts.min_recall:g} of the exact answer; below "
        "that nothing is published."
    )
    return Section("index", "Index", "Index", lead, tuple(figures), (table,))
