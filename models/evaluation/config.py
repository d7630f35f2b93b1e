"""Settings of the evaluation. Imports nothing heavy."""

from typing import Annotated

from pydantic import Field

from expectations.settings import settings

CutOff = Annotated[int, Field(ge=1, le=1000)]


@settings
class EvaluationConfig:
    """How the night's lists are judged on the days that nothing was trained on."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Decides the random lists, the sample of users and the resamples."""
    ks: Annotated[tuple[CutOff, ...], Field(min_length=1)] = (1, 5, 10, 20)
    """Cut-offs of the ranking metrics: places from the top that count."""
    primary_k: CutOff = 10
    """Cut-off of the headline figures, the segments and the ablations; judged even where `ks` lacks it."""
    max_users: Annotated[int, Field(ge=1)] = 20_000
    """Most users judged, the same ones for every system; beyond that a random sample."""
    max_ablation_users: Annotated[int, Field(ge=0)] = 300
    """Most users judged for each part left out; 0 makes no ablation table."""
    num_resamples: Annotated[int, Field(ge=100, le=100_000)] = 1000
    """Resamples of users behind each confidence interval."""
    confidence_level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Share of such intervals that hold the true value."""
