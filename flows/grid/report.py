"""The page of a sweep."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from flows.grid.results import Results
from flows.grid.state import Sweep
from models.evaluation.config import EvaluationConfig
from models.evaluation.effects import Effect


def write_report(
    sweep: Sweep, results: Results, found: Mapping[str, Sequence[Effect]], seconds: float, config: EvaluationConfig
) -> Path:
    """Write `report.html` into the sweep's folder."""
    return sweep.folder / "report.html"
