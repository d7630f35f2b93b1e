"""Stage `release`: the bundle becomes one version of the registered model `nightjar-recommender`."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from expectations.errors import Failure
from expectations.files import read_json
from expectations.settings import settings
from models.gates import GatesConfig
from tasks.engine.content_digest import file_sha256
from tasks.engine.lake import MANIFEST, Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import stage
from tasks.machine.scratch import aside
from tasks.registry.registry import Registry, Version
from tasks.registry.release_layout import FOLDER, LISTS

FACTS = "release.json"
"""What a release is and what it was made from, in its artifact; nothing of any registry."""


@settings
class ReleaseConfig:
    """How a night is registered."""

    alias: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")] = "candidate"
    """Alias that follows the newest night."""
    gates: GatesConfig = GatesConfig()
    """What a release must pass to become the champion."""


@stage(produces="release", libraries=("mlflow",))
def release(
    out: Outputs,
    bundle: Artifact,
    recommendations: Artifact,
    evaluation: Artifact,
    index: Artifact,
    alias: str,
) -> None:
    """Register the bundle with its figures and lineage, and move the alias to it.

    What the release is, the digest of its manifest tells. Which number it has is for each registry to say: see
    `version_in`.
    """
    metrics = release_metrics(evaluation, index)
    facts = {
        "model": "nightjar-recommender",
        "date": out.date,
        "bundle": bundle.ref.folder,
        "bundle_digest": bundle.content_digest,
        "recommendations": recommendations.ref.folder,
        "recommendations_digest": recommendations.content_digest,
        "evaluation": evaluation.ref.folder,
        "metrics": metrics,
    }
    registry = Registry(out.home, out.resources.registry)
    with _assembled(out.home / "scratch", bundle, recommendations, metrics) as folder:
        facts["manifest"] = file_sha256(folder / MANIFEST)
        (out["release"].path / FACTS).write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
        _publish(registry, folder, facts, bundle)
    registry.follow(alias)


def version_in(
    registry: Registry, release: Artifact, bundle: Artifact, recommendations: Artifact, alias: str, scratch: Path
) -> Version:
    """The version that a release is in a registry. Where it has none, such as a registry that is new or was emptied, or
    no more, as somebody has deleted it, the release is registered again, from what the lake holds.

    Two runs must not ask at the same moment: the caller claims the release.

    Raises:
        Failure: the lake holds another bundle by now, one that was damaged and made again with other bytes, say.
    """
    facts = read_json(release.path / FACTS)
    found = registry.version_of(facts["manifest"], facts["date"])
    if found is None:
        with _assembled(scratch, bundle, recommendations, facts["metrics"]) as folder:
            if file_sha256(folder / MANIFEST) != facts["manifest"]:
                raise Failure(
                    f"the release of {facts['date']} is not in the registry at {registry.uri}, and what the lake has "
                    "is not what was released then; release that: run the night again with --force release"
                )
            found = _publish(registry, folder, facts, bundle)
    registry.follow(alias)
    return found


def _publish(registry: Registry, folder: Path, facts: dict[str, Any], bundle: Artifact) -> Version:
    tags = {f"nightjar.{name}": str(value) for name, value in facts.items() if name not in ("metrics", "model")}
    params = flat_params(bundle.manifest["config"])
    return registry.publish(facts["manifest"], folder, f"night {facts['date']}", params, facts["metrics"], tags)


@contextmanager
def _assembled(scratch: Path, bundle: Artifact, recommendations: Artifact, metrics: dict[str, float]) -> Iterator[Path]:
    with aside(scratch) as place:
        yield _assemble(place / FOLDER, bundle, recommendations, metrics)


def _assemble(folder: Path, bundle: Artifact, recommendations: Artifact, metrics: dict[str, float]) -> Path:
    """The folder that is released: the bundle, the night's lists, and a manifest that tells how they were judged."""
    from models.serving.export import facts_of, write_manifest

    shutil.copytree(bundle.path / FOLDER, folder, copy_function=_link)
    (folder / LISTS).mkdir()
    for path in recommendations.files:
        _link(path, folder / LISTS / path.name)
    known = read_json(folder / MANIFEST)
    (folder / MANIFEST).unlink()
    facts = facts_of(known)
    lineage = {"recommendations": {"date": recommendations.date, "key": recommendations.key}}
    write_manifest(folder, facts | {"evaluation": metrics, "lineage": facts["lineage"] | lineage})
    return folder


def _link(source: str | Path, target: str | Path) -> None:
    """A second name for a file that nobody writes to, or a copy on another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def release_metrics(evaluation: Artifact, index: Artifact) -> dict[str, float]:
    """Figures over all users, by MLflow metric name: `final.ndcg_at_10`, `popularity.recall_at_20`, ..."""
    rows = evaluation.table().to_pylist()
    figures = {
        f"{r['system'].replace(' ', '_')}.{r['metric']}" + (f"_at_{r['k']}" if r["k"] else ""): float(r["value"])
        for r in rows
        if r["segment"] == "all" and not r["system"].startswith("without")
    }
    recall = index.notes.get("recall")
    return {**figures, **({"index.recall": float(recall)} if recall is not None else {})}


def flat_params(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as `section.key` parameters."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat.update(flat_params(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
