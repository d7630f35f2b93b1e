"""The pipeline with one part switched off at a time: sources, steps and filters."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
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
    systems = {CONTROL: whole, **{f"without {name}": changed for name, changed in without_each_part(whole)}}
    for filter_ in fields(FiltersConfig):
        if getattr(whole.filters, filter_.name) is True:
            off: dict[str, Any] = {filter_.name: False}
            systems[f"without {filter_.name} filter"] = replace(whole, filters=replace(whole.filters, **off))
    return {name: _settings(config, pipeline["sources"]) for name, config in systems.items()}


def _settings(config: PipelineConfig, sources: Iterable[str]) -> dict[str, Any]:
    """Settings as JSON types, of those sources only that the bundle's own pipeline names: it may lack others."""
    settings = asdict(config)
    return settings | {"sources": {name: settings["sources"][name] for name in sources}}
