"""Settings of a model for a protocol: what ships, the trials beside it, or a file's; and what of them was chosen."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from expectations.errors import UserError
from flows.config import SECTIONS
from models.catalogue import Model


def candidates(model: Model, config: Path | None, timed: bool = True) -> list[tuple[str, Any]]:
    """Settings to compare on validation, by what they change of the default: that first; a file's are the only ones.

    Args:
        timed: whether the data tell times; without them no trial of a half-life is one.
    """
    if config is not None:
        return [(str(config.name), from_file(model, config))]
    default = model.settings()
    trials = [changes for changes in model.trials if timed or "half_life_days" not in changes]
    return [("default", default), *((_words(changes), changed(default, changes)) for changes in trials)]


def that_rank(model: Model, found: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Those candidates that learn to rank, and not to predict ratings.

    Raises:
        UserError: a file's settings do not.
    """
    kept = [(words, settings) for words, settings in found if not (model.rates_with and model.rates(settings))]
    if not kept:
        wrong = ", ".join(f"`{name}: {value}`" for name, value in (model.rates_with or {}).items())
        raise UserError(f"this protocol ranks: leave {wrong} out of the file of --config, or choose kfold-rmse")
    return kept


def from_file(model: Model, path: Path) -> Any:
    """Settings from a YAML or JSON file: the settings themselves, a night's config, or what this command wrote.

    Raises:
        UserError: no such file, or what it says is none of these.
    """
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"--config {path}: cannot be read as YAML or JSON ({error})") from None
    if not isinstance(values, dict):
        raise UserError(f"--config {path}: must hold settings of {model.name}, found {type(values).__name__}")
    own = next((found for name in ("config", model.section) if isinstance(found := _at(values, name), dict)), values)
    if own is values and values.keys() & {*SECTIONS}:
        raise UserError(
            f"--config {path}: a night's config without settings in its section `{model.section}`, which {model.name} "
            "reads; write some there, or leave --config out to choose among what ships"
        )
    try:
        return TypeAdapter(model.settings).validate_python(own)
    except ValidationError as error:
        unknown = [e["loc"] for e in error.errors() if e["type"] == "unexpected_keyword_argument"]
        if unknown:
            raise UserError(
                f"--config {path}: {model.name} has no setting `{'.'.join(map(str, unknown[0]))}`; "
                f"`nightjar models {model.name}` lists those that it has"
            ) from None
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UserError(f"--config {path}: {wrong}. `nightjar models {model.name}` lists the settings") from None


def _at(values: Any, name: str) -> Any:
    """What stands at a dotted name, None where nothing does."""
    for part in name.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def changed(settings: Any, changes: Mapping[str, Any]) -> Any:
    """Settings with some values changed; `fit.max_epochs` is one inside of another."""
    for name, value in changes.items():
        outer, _, inner = name.partition(".")
        settings = replace(settings, **{outer: changed(getattr(settings, outer), {inner: value}) if inner else value})
    return settings


def stopping_at(settings: Any, epochs: int | None) -> Any:
    """Settings that train exactly so many epochs."""
    return settings if epochs is None else changed(settings, {"fit.max_epochs": epochs})


def in_json(settings: Any) -> dict[str, Any]:
    """Settings as JSON has them."""
    return asdict(settings)


def _words(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in changes.items())
