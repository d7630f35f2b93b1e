"""What a report says, apart from how its page looks: plain values, kept as `report.json` beside the page."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from models.evaluation.potential import Potential

Cell = str | int | float | None

REPORT_JSON = "report.json"


@dataclass(frozen=True)
class Tile:
    """A headline figure: what it is, the figure, and what to compare it with. `share` (0 to 1) draws a bar."""

    label: str
    value: str
    note: str = ""
    share: float | None = None


@dataclass(frozen=True)
class Figure:
    """A plot (an `<svg>` element) with a caption that says how to read it."""

    title: str
    caption: str
    svg: str


@dataclass(frozen=True)
class Table:
    """Rows under named columns; numbers are formatted by `digits`. `key` names it among Prefect's artifacts."""

    key: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    digits: int = 3
    emphasis: str = ""


@dataclass(frozen=True)
class Listed:
    """One item of a person's history or list."""

    title: str
    about: str
    source: str = ""
    reason: str = ""
    watched: bool = False


@dataclass(frozen=True)
class Person:
    """One user of the sample: who they are, what they watched last, what they are offered."""

    name: str
    about: str
    history: tuple[Listed, ...]
    offered: tuple[Listed, ...]


@dataclass(frozen=True)
class Section:
    """A chapter of the page; `name` is its short title in the navigation."""

    id: str
    name: str
    title: str
    lead: str
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    people: tuple[Person, ...] = ()
    commands: tuple[tuple[str, str], ...] = ()
    """What reads or computes its figures again, as (words, command)."""
    points: tuple[str, ...] = ()
    """What to know beforehand, one sentence each, below the lead."""


@dataclass(frozen=True)
class ReportData:
    """The whole report of one night.

    Attributes:
        potential: figures of what the night's days allow; None in reports of what is no night.
    """

    title: str
    date: str
    verdict: str
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    substitutes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    potential: Potential | None = None

    def save(self, folder: Path) -> None:
        """Write `report.json`."""
        (folder / REPORT_JSON).write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "ReportData":
        """Read what `save` wrote."""
        return TypeAdapter(cls).validate_json((folder / REPORT_JSON).read_bytes())


@dataclass(frozen=True)
class StageTime:
    """How one stage of this run went."""

    stage: str
    state: str
    seconds: float
    rows: int
    peak_bytes: int = 0


@dataclass(frozen=True)
class RunFacts:
    """What differs from run to run and so stands in no artifact.

    Attributes:
        version: of the registered model, such as `nightjar-recommender 12`.
        stages: in the order in which they ran.
        index: measures of the stage `index`, such as `latency_ms` by percentile.
        total_seconds: of the whole run.
        links: words -> path or URL.
        gates: gate, passed or failed, figures. `decision`: what became of the release.
        command: that makes this night again; takes the place of `nightjar run CONFIG.yaml` in the chapters' commands.
    """

    version: str = ""
    stages: tuple[StageTime, ...] = ()
    index: dict[str, Any] = field(default_factory=dict)
    total_seconds: float = 0.0
    links: dict[str, str] = field(default_factory=dict)
    gates: tuple[tuple[str, str, str], ...] = ()
    decision: str = ""
    command: str = ""
