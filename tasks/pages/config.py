"""Settings of the nightly report. Imports nothing heavy."""

from typing import Annotated

from pydantic import Field

from expectations.settings import settings


@settings
class ReportConfig:
    """What the nightly report shows."""

    title: Annotated[str, Field(min_length=1, max_length=80)] = "Nightjar"
    """Name of the service, at the top of the page."""
    sample_users: Annotated[int, Field(ge=0, le=50)] = 6
    """People whose list is shown beside their history, from those without any to those with the longest."""
    sample_places: Annotated[int, Field(ge=1, le=100)] = 10
    """Places of each such list."""
    max_points: Annotated[int, Field(ge=10, le=10_000)] = 600
    """Most items in the scatter plot of popularity; beyond that a sample over all ranks."""
