"""The pipeline with one part switched off at a time: sources, steps and filters."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from models.serving.config import FiltersConfig, PipelineConfig, without_each_part

CONTROL = "without nothing"
"""The pipeline as it is, on the users of the ablations."""


def ablations(pipeline: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Name of a system, `without <part>` -> the pipeline to run it with; the whole pipeline comes first.

    Args:
        pipeline: contents of a bundle's `pipeline.json`.
    """
    whole = PipelineConfig(**pipeline)
    systems = {CONTROL: asdict(whole)}
    systems |= {f"without {name}": asdict(changed) for name, changed in without_each_part(whole)}
    for filter_ in fields(FiltersConfig):
        if getattr(whole.filters, filter_.name) is True:
            without = {**asdict(whole.filters), filter_.name: False}
            systems[f"without {filter_.name} filter"] = {**asdict(whole), "filters": without}
    return systems
