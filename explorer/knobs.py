"""The knobs of a release: every number and switch of the pipeline's settings, with the bounds that they declare."""

import copy
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from expectations.errors import UserError
from models.serving.config import PipelineConfig, looks_at, pipeline_of
from tasks.engine.stage import plain

_WIDE = 4
"""A slider reaches to so many times the default where the bound lies far beyond what anybody tries."""

_UNSEEN = ("exploration_seed", "bloom_false_positive_rate")
"""Numbers that are no matter of taste."""


@dataclass(frozen=True)
class Knob:
    """One setting: its dotted name, what it means, its kind (`bool`, `int` or `float`) and the ends of its slider."""

    name: str
    meaning: str
    kind: type
    default: float
    low: float = 0.0
    high: float = 1.0

    @property
    def section(self) -> str:
        """First part of the name; settings of the whole list stand under `list`."""
        return self.name.split(".")[0] if "." in self.name else "list"

    @property
    def step(self) -> float:
        """What one notch of the slider changes."""
        return 1 if self.kind is int else 0.05 if self.high <= 1 else 0.1


def knobs() -> list[Knob]:
    """All of them, in the order of the settings classes."""
    return list(_of(PipelineConfig, ""))


def _of(cls: Any, prefix: str) -> Iterator[Knob]:
    for name, info in cls.__pydantic_fields__.items():
        default = info.get_default(call_default_factory=True)
        meaning = " ".join((info.description or "").split())
        if dataclasses.is_dataclass(default):
            # The default of each source differs, so bounds come from the class and values from the default.
            yield from (
                dataclasses.replace(k, default=_value(default, k.name.removeprefix(f"{prefix}{name}.")))
                for k in _of(type(default), f"{prefix}{name}.")
            )
        elif isinstance(default, bool):
            yield Knob(f"{prefix}{name}", meaning, bool, float(default))
        elif isinstance(default, int | float) and name not in _UNSEEN:
            low, high = (_bound(info.metadata, names) for names in (("ge", "gt"), ("le", "lt")))
            yield Knob(f"{prefix}{name}", meaning, type(default), default, low, high)


def _bound(metadata: Iterable[Any], names: tuple[str, str]) -> float:
    return float(next(v for m in metadata for n in names if (v := getattr(m, n, None)) is not None))


def reach(knob: Knob, value: float) -> float:
    """The upper end of a slider that shows `value` and stays handy."""
    return max(min(knob.high, (_WIDE * knob.default) or 10), value, 1)


def value_of(pipeline: Mapping[str, Any], name: str) -> Any:
    """What a pipeline says; None where it knows no such setting, as one made before it was invented."""
    place: Any = pipeline
    for part in name.split("."):
        place = place.get(part) if isinstance(place, Mapping) else None
    return place


def turned(pipeline: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A pipeline with other values; settings that it does not know stay unknown.

    Raises:
        UserError: they do not go together, such as a pool smaller than the list.
    """
    changed: dict[str, Any] = copy.deepcopy(dict(pipeline))
    for name, value in values.items():
        if value is not None and value_of(pipeline, name) is not None:
            *sections, last = name.split(".")
            place = changed
            for section in sections:
                place = place[section]
            place[last] = value
    known = {f.name for f in dataclasses.fields(PipelineConfig)}
    try:
        config = TypeAdapter(PipelineConfig).validate_python({k: v for k, v in changed.items() if k in known})
    except ValidationError as error:
        raise UserError("; ".join(str(e["msg"]).removeprefix("Value error, ") for e in error.errors())) from None
    if looks_at(config.system, "candidates") and changed["candidates"] != pipeline["candidates"]:
        # As the night would have it: asked of the sources of the system, all of them ranked as far as the pool goes.
        # The release's own pool may only be so small because it asked for fewer.
        untouched = config.pool_size == pipeline["pool_size"]
        size = max(config.pool_size, PipelineConfig().pool_size) if untouched else config.pool_size
        widest = dataclasses.replace(config, pool_size=size)
        return _as_known(plain(pipeline_of(config.system, widest)), pipeline)
    return changed


def _as_known(made: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without those that a release does not know; its runtime refuses these."""
    return {
        name: _as_known(value, own[name]) if isinstance(value, Mapping) else value
        for name, value in made.items()
        if name in own
    }


def applies(knob: Knob, pipeline: Mapping[str, Any]) -> bool:
    """Whether a release has the setting and its system looks at it."""
    return value_of(pipeline, knob.name) is not None and looks_at(pipeline.get("system", "fusion"), knob.name)


def differences(own: Mapping[str, Any], changed: Mapping[str, Any]) -> list[str]:
    """What differs of that which a system looks at, as `--set` takes it: pipeline.k=30, ..."""
    names = [knob.name for knob in knobs() if applies(knob, own)]
    return [f"pipeline.{n}={value_of(changed, n)}" for n in names if value_of(changed, n) != value_of(own, n)]


def _value(settings: Any, name: str) -> float:
    for part in name.split("."):
        settings = getattr(settings, part)
    return float(settings)
