"""The gates of a release: figures in, verdicts out. Imports nothing heavy: its settings are part of the config.

Each gate is one row of `GatesConfig`. A gate whose figure is not there fails; one whose bound is null is off.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from expectations.settings import settings

Share = Annotated[float, Field(ge=0, le=1)]


@settings
class GatesConfig:
    """What a release must pass to become the champion; null switches a gate off."""

    audits: Annotated[int, Field(ge=0)] | None = 0
    """Most artifacts of the night whose audit did not pass, or that were released from quarantine by hand. Why: what
    was learnt from broken data is broken."""
    index_recall: Share | None = 0.9
    """Least recall of the index against exact search. Why: items that the index misses can never be recommended."""
    coverage: Share | None = 0.01
    """Least share of the catalogue in the judged users' lists. Why: one list for everybody can score well."""
    cold_start: Share | None = 0.01
    """Least share of judged users with a hit in the list of somebody without a history. Why: it is the first thing that
    every new user sees, and the averages hide it."""
    ndcg: Share | None = 0.02
    """Most that NDCG may lose to the champion's, as a share of it, on the same days and users; fails when the whole
    bootstrap interval lies beyond. Why: what is worse must not replace what is good."""
    recall: Share | None = 0.02
    """The same of recall. Why: order and reach can move apart."""
    segments: Share | None = 0.2
    """The same of the NDCG of each segment of users, the worst one counts. Why: a few may pay for a gain on average."""
    empty_lists: Share | None = 0.5
    """Most users without a single item in their list, as a share of all. Why: lists that filters empty are of no use; a
    few who have seen everything are none of the release's doing."""
    latency_ms: Annotated[float, Field(gt=0)] | None = 500.0
    """Most milliseconds for one user's list, median, on one thread. Why: what is served late is not served."""
    min_segment_users: Annotated[int, Field(ge=2)] = 30
    """Segments with fewer judged users are too small to tell."""
    max_users: Annotated[int, Field(ge=10)] = 2000
    """Most judged users on whom the champion is asked again."""


FLOORS = ("index_recall", "coverage", "cold_start")
CEILINGS = ("audits", "empty_lists", "latency_ms")
LOSSES = ("ndcg", "recall", "segments")
GATES = (*CEILINGS[:1], *FLOORS, *LOSSES, *CEILINGS[1:])


@dataclass(frozen=True)
class Figure:
    """What was measured for a gate.

    Attributes:
        value: the figure; for losses, change against the champion as a share of the champion's figure.
        high: upper end of the interval of a change; a loss is beyond doubt when this lies below the bound.
        note: what the figure is about, or why there is none.
    """

    value: float | None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class GateVerdict:
    """Whether a release passes one gate, and the figures behind it."""

    gate: str
    passed: bool
    value: float | None
    bound: float
    note: str = ""

    @property
    def figures(self) -> str:
        """The figure beside its bound, and what it is about."""
        sign = "at most" if self.gate in CEILINGS else "at least"
        bound = f"{-self.bound:+.3g}" if self.gate in LOSSES else f"{self.bound:.3g}"
        value = "could not be computed" if self.value is None else f"{self.value:.4g}, {sign} {bound}"
        return value + (f" ({self.note})" if self.note else "")

    def __str__(self) -> str:
        return f"{self.gate}: {self.figures}"


def judge_release(figures: Mapping[str, Figure], config: GatesConfig, has_champion: bool) -> list[GateVerdict]:
    """A verdict for every gate that is on; without a champion to compare with, only the absolute ones."""
    verdicts = []
    for gate in GATES:
        bound = getattr(config, gate)
        if bound is None or (gate in LOSSES and not has_champion):
            continue
        figure = figures.get(gate, Figure(None, note="no figure"))
        verdicts.append(GateVerdict(gate, _passes(gate, figure, bound), figure.value, float(bound), figure.note))
    return verdicts


def _passes(gate: str, figure: Figure, bound: float) -> bool:
    judged = figure.high if gate in LOSSES else figure.value
    if judged is None or math.isnan(judged) or figure.value is None or math.isnan(figure.value):
        return False
    if gate in CEILINGS:
        return judged <= bound
    return judged >= (-bound if gate in LOSSES else bound)
