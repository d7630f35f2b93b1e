"""The config of a night: one section an owner, read from YAML, checked before anything runs."""

import copy
import dataclasses
import difflib
import shlex
from collections.abc import Iterable, Mapping
from datetime import date as Date
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_type_hints

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from expectations.errors import UserError
from expectations.passwords import redacted
from expectations.settings import settings
from models.catalogue import SOURCES
from models.content_config import ContentConfig
from models.evaluation.config import EvaluationConfig
from models.index.config import IndexConfig
from models.ranking.config import RankerConfig
from models.retrieval.config import EmbeddingsConfig, TowersConfig
from models.runtime.systems import SYSTEMS
from models.sequence.config import TransformerConfig
from models.serving.config import PipelineConfig, System
from models.world.config import WorldConfig
from spark_jobs.config import (
    AlsConfig,
    FeaturesConfig,
    InteractionsConfig,
    ItemSimilarityConfig,
    PopularityConfig,
    SentencesConfig,
)
from tasks.machine.config import ResourcesConfig
from tasks.pages.config import ReportConfig
from tasks.sources.config import SourceConfig
from tasks.stages.release import ReleaseConfig


@settings
class WindowConfig:
    """Which days a night reads: it trains on the days up to `D - judge_days` and is judged on the last ones."""

    train_days: Annotated[int, Field(ge=1, le=3650)] | Literal["all"] = 28
    """Days before the judged ones that are trained on, or `all` of a log."""

    judge_days: Annotated[int, Field(ge=1, le=365)] = 2
    """Last days of the window, only judged on."""

    rank_days: Annotated[int, Field(ge=1, le=365)] = 7
    """Last training days, on which the ranker learns from features of the days before them."""


@settings
class ModelsConfig:
    """Settings of the models that a night takes from the catalogue, one section each: `nightjar models` lists them."""

    LEFT_OUT_BY_DEFAULT: ClassVar = {name: model.settings() for name, model in SOURCES.items()}
    for _name, _model in SOURCES.items():
        __annotations__[_name] = Annotated[_model.settings, Field(description=_model.summary)]
        vars()[_name] = LEFT_OUT_BY_DEFAULT[_name]


_SYSTEMS_TOLD = "; ".join(f"`{name}`, {system.summary}" for name, system in SYSTEMS.items())


@settings
class NightlyConfig:
    """Everything that decides a night. Each section stands beside its owner."""

    date: Date | None = None
    """Logical day; by default the last day of made data, or the last full day of a log."""

    system: Annotated[System, Field(description=f"Which recommender is built and served: {_SYSTEMS_TOLD}.")] = "fusion"
    window: WindowConfig = WindowConfig()
    """Days trained and judged on."""
    source: SourceConfig = SourceConfig()
    """Made data, or a log."""
    world: WorldConfig = WorldConfig()
    """The made audience and catalogue, when the source is made data."""
    interactions: InteractionsConfig = InteractionsConfig()
    """Positives of the window."""
    features: FeaturesConfig = FeaturesConfig()
    """User and item features, histories, exposures."""
    popularity: PopularityConfig = PopularityConfig()
    """Popularity with decay."""
    als: AlsConfig = AlsConfig()
    """Matrix factorisation."""
    item_similarity: ItemSimilarityConfig = ItemSimilarityConfig()
    """Item-item similarity."""
    content: ContentConfig = ContentConfig()
    """Similarity by TF-IDF."""
    towers: TowersConfig = TowersConfig()
    """Two-tower retrieval."""
    embeddings: EmbeddingsConfig = EmbeddingsConfig()
    """Item vectors."""
    index: IndexConfig = IndexConfig()
    """FAISS shards."""
    sentences: SentencesConfig = SentencesConfig()
    """Histories of all kinds of tokens."""
    transformer: TransformerConfig = TransformerConfig()
    """Transformer over sentences."""
    ranker: RankerConfig = RankerConfig()
    """Multi-task ranker."""
    models: ModelsConfig = ModelsConfig()
    """Models of the catalogue that `pipeline.sources` asks for."""
    pipeline: PipelineConfig = PipelineConfig()
    """Sources, filters, ranking and order of the recommendations."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Metrics, segments, ablations."""
    release: ReleaseConfig = ReleaseConfig()
    """The registry."""
    report: ReportConfig = ReportConfig()
    """The page of the night."""
    resources: ResourcesConfig = ResourcesConfig()
    """Memory, threads, devices; decides where work runs, never what comes out."""


SECTIONS = tuple(f.name for f in dataclasses.fields(NightlyConfig) if f.name != "date")
"""Names of the sections; the flow takes each as a parameter of its own."""


@dataclasses.dataclass(frozen=True)
class Calendar:
    """The days of one night, as ISO strings."""

    day: str
    train: tuple[str, ...]
    judge: tuple[str, ...]
    rank: tuple[str, ...]

    @property
    def cut(self) -> str:
        """Last day that anything may be learnt from."""
        return self.train[-1]

    @property
    def split(self) -> str:
        """Last day that the features of the ranker's training examples may come from."""
        return self.train[-1 - len(self.rank)]

    @property
    def days(self) -> tuple[str, ...]:
        return self.train + self.judge


def calendar(window: WindowConfig, day: Date, first: Date | None = None) -> Calendar:
    """The days that a night of `day` reads.

    Args:
        first: first day of the log; a window cannot begin before it.

    Raises:
        UserError: fewer days than the window needs.
    """
    cut = day - timedelta(days=window.judge_days)
    start = first if window.train_days == "all" else cut - timedelta(days=int(window.train_days) - 1)
    if start is None or (first and start < first):
        start = first or cut
    train = _days(start, cut)
    if len(train) <= window.rank_days:
        raise UserError(
            f"window: {len(train)} training days up to {cut} leave nothing before the {window.rank_days} of "
            f"window.rank_days: a night needs {window.rank_days + 1 + window.judge_days} days of events; choose a "
            "later date, or smaller window.judge_days or window.rank_days"
        )
    judge = _days(cut + timedelta(days=1), day)
    return Calendar(day.isoformat(), train, judge, train[-window.rank_days :])


def _days(first: Date, last: Date) -> tuple[str, ...]:
    return tuple((first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1))


def load_config(
    path: Path | None, overrides: Iterable[str] = (), settings: Mapping[str, Any] | None = None
) -> NightlyConfig:
    """Read a YAML file, or start from `settings`, apply `key=value` overrides, check everything.

    Raises:
        UserError: no such file, no YAML, an unknown key, an impossible value; each with its full name.
    """
    values = read_yaml(path) if path else copy.deepcopy(dict(settings or {}))
    for one in overrides:
        override(values, one)
    return check_config(values, str(path or "defaults"))


def check_config(values: Mapping[str, Any], name: str) -> NightlyConfig:
    """Settings from nested values; `name` says where they come from."""
    try:
        return TypeAdapter(NightlyConfig).validate_python(values)
    except ValidationError as error:
        lines = [_explain(e) for e in error.errors()]
        raise UserError(f"{name}: " + "; ".join(lines)) from None


LARGEST_CONFIG = 1 << 20
"""Bytes; nobody writes a megabyte of settings, and YAML of a log would take hours to parse."""


def read_yaml(path: Path) -> dict[str, Any]:
    """The sections of a config file; see `load_config` for what is refused."""
    if path.is_file() and path.stat().st_size > LARGEST_CONFIG:
        raise UserError(f"config {path}: {path.stat().st_size:,} bytes are no config{_if_data(path)}")
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        near = ", ".join(sorted(str(p) for p in Path("deployments").glob("*.yaml"))) or "none here"
        raise UserError(f"config {path}: no such file; configs in deployments/: {near}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"config {path}: cannot be read ({error}){_if_data(path)}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", error)
        raise UserError(f"config {path}{where}: no valid YAML ({problem}){_if_data(path)}") from None
    except ValueError as error:
        raise UserError(f"config {path}: impossible date or number ({error})") from None
    if not isinstance(values, dict | None):
        found = type(values).__name__
        raise UserError(f"config {path}: must hold sections such as `window:`, found {found}{_if_data(path)}")
    return values or {}


def _if_data(path: Path) -> str:
    """What to do for somebody who gives a log in place of a config."""
    if path.suffix in (".yaml", ".yml"):
        return ""
    return f"; if it is a log, this writes a config for it: nightjar inspect {shlex.quote(str(path))} --to night.yaml"


def override(values: dict[str, Any], given: str) -> None:
    """Change nested values, in place, as `section.key=value` says."""
    key, equals, text = given.partition("=")
    if not equals or not key:
        raise UserError(
            f"--set {redacted(given, spaces=True)}: must be section.key=value, such as --set towers.dim=128"
        )
    *parents, last = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise UserError(f"--set {redacted(given, spaces=True)}: {parent} is no section")
    try:
        values[last] = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        # Such as 2026-02-30, which looks like a date to YAML; the check of the settings says what is wrong with it.
        values[last] = text


def _explain(error: Any) -> str:
    """One of pydantic's errors as a sentence with the key's full name and what is allowed."""
    place = [str(part) for part in error["loc"]]
    name = ".".join(place)
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        allowed = _keys(NightlyConfig, place[:-1])
        near = difflib.get_close_matches(place[-1], allowed, 1)
        return (
            f"unknown key {name}" + (f", did you mean {near[0]}?" if near else "") + f" (allowed: {', '.join(allowed)})"
        )
    return f"{name} is {redacted(repr(error['input']), spaces=True)}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _keys(cls: Any, place: list[str]) -> list[str]:
    """Fields of the section at `place`."""
    for part in place:
        cls = get_type_hints(cls).get(part, cls) if dataclasses.is_dataclass(cls) else cls
    return [f.name for f in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else []
