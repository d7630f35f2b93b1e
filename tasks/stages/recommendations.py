"""Stages `content_similarity`, `bundle` and `recommendations`: what is served, and what it recommends."""

from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expectations.errors import Failure
from expectations.files import read_json
from models.content_config import ContentConfig
from models.serving.config import PipelineConfig
from tasks.engine.groups import artifacts_of
from tasks.engine.lake import Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import plain, stage
from tasks.registry.release_layout import FOLDER
from tasks.stages.groups import Facts, Known, Retrieval, Sources

if TYPE_CHECKING:
    import pyarrow as pa

    from models.serving.sources import ReleaseSource

LIBRARIES = ("faiss-cpu", "onnx", "onnxruntime", "torch", "numpy", "pyarrow")


@stage(produces="content_similarity", libraries=("scikit-learn", "scipy"))
def content_similarity(out: Outputs, items: Artifact, config: ContentConfig) -> None:
    """Nearest items of each item by what they are."""
    from models.content import content_similarity

    out["content_similarity"].write(content_similarity(items.table(), config))


@stage(produces="bundle", libraries=LIBRARIES)
def bundle(
    out: Outputs,
    retrieval: Retrieval,
    sources: Sources,
    ranker: Artifact,
    known: Known,
    facts: Facts,
    config: PipelineConfig,
) -> None:
    """Everything a consumer needs, in one folder, loaded once to see that it fits together."""
    from models.runtime import Bundle, BundleError
    from models.serving.export import assemble
    from models.serving.sources import with_stages

    trained = (retrieval.towers, retrieval.index, ranker)
    shared = (
        retrieval.embeddings, known.users, known.items, known.id_map, facts.histories, facts.user_features,
        facts.item_features, facts.exposures, *(table for table in sources.tables if "source" not in table.notes),
    )  # fmt: skip
    declared = [*with_stages({a.dataset for a in shared}), *_from_catalogue(sources.tables)]
    folder = out["bundle"].path / FOLDER
    manifest = assemble(
        folder,
        {a.dataset: a.table() for a in shared},
        _files(*trained) | _graphs(declared, sources.models),
        plain(config),
        _facts(facts.histories.date, retrieval, (*trained, *artifacts_of(sources), *shared)),
        declared,
    )
    try:
        Bundle(folder)
    except BundleError as error:
        raise Failure(f"bundle: its parts do not fit together: {error}") from error
    out.note(
        digest=manifest["digest"],
        bytes=sum(f["bytes"] for f in manifest["files"].values()),
        num_files=len(manifest["files"]),
    )


def _from_catalogue(tables: tuple[Artifact, ...]) -> "list[ReleaseSource]":
    """Sources made by `tasks.stages.model_sources`, which notes whose and of what kind its tables are."""
    from models.serving.sources import ReleaseSource

    parts = [table for table in tables if "source" in table.notes]
    kinds = {part.notes["source"]: part.notes["kind"] for part in parts}
    own = {name: {p.dataset: p.table() for p in parts if p.notes["source"] == name} for name in kinds}
    return [ReleaseSource(name, kind, tuple(own[name]), tables=own[name]) for name, kind in kinds.items()]


def _graphs(declared: "list[ReleaseSource]", models: tuple[Artifact, ...]) -> dict[str, Path]:
    """What sources have beside tables, by name in the bundle: each is in the folder of the model that made it."""
    wanted = {name for source in declared for name in source.files}
    return {name: model.path / name for model in models for name in wanted if (model.path / name).is_file()}


def _files(towers: Artifact, index: Artifact, ranker: Artifact) -> dict[str, Path]:
    """Name in the bundle -> file that is copied as it is."""
    names = {
        **{name: towers.path / name for name in ("user_tower.onnx", "item_tower.onnx", "encoders.json")},
        **{name: ranker.path / name for name in ("ranker.onnx", "ranker.json")},
        "index/index.json": index.path / "index.json",
    }
    shards = {f"index/{shard['file']}": index.path / shard["file"] for shard in index.notes["shards"]}
    return {**names, **shards}


def _facts(date: str, retrieval: Retrieval, parts: tuple[Artifact, ...]) -> dict[str, Any]:
    """What the bundle's manifest says beyond its files."""
    described = read_json(retrieval.index.path / "index.json")
    return {
        "date": date,
        "data_dates": {_name(part): part.date for part in parts},
        # The local part ("+cpu") names the build, which differs between machines that give the same bytes.
        "versions": {name.removesuffix("-cpu"): version(name).split("+")[0] for name in LIBRARIES},
        "metric": described["metric"],
        "normalisation": "unit length" if described["normalised"] else "none",
        "dim": described["dim"],
        "tower_digest": retrieval.towers.notes["tower_digest"],
        "index": described,
        "recall": described["recall"],
        "lineage": {_name(part): {"date": part.date, "key": part.key} for part in parts},
    }


def _name(part: Artifact) -> str:
    """What an artifact is called in a bundle's lineage: with its source, where several may have the same dataset."""
    return f"{part.dataset} {part.notes['source']}" if "source" in part.notes else part.dataset


@stage(produces="recommendations", libraries=("faiss-cpu", "onnxruntime"), memory_gib=1.5, threads=2)
def recommendations(out: Outputs, bundle: Artifact) -> None:
    """The lists of every user that the bundle knows, through the bundle's own runtime."""
    import numpy as np

    from expectations.outside_ids import OutsideIds
    from models.runtime import Bundle
    from models.serving.list_lengths import ListLengths

    release = Bundle(bundle.path / FOLDER, threads=out.resources.threads, verify=False)
    users, outside = np.sort(release.user_ids), OutsideIds(release.id_map)
    sizes = np.zeros(len(users), dtype=np.int64)
    counts = {"removals": Counter[str](), "sources": Counter[str]()}

    def batches() -> "Iterator[pa.RecordBatch]":
        done = 0
        for result in release.stream(users):
            counts["removals"].update(result.removals)
            counts["sources"].update(result.sources)
            np.add.at(sizes, np.searchsorted(users, result.table["user_id"].to_numpy()), 1)
            done += result.num_users
            out.progress(done, len(users), "users")
            yield from map(outside.beside, result.table.to_batches())

    out["recommendations"].write(batches())
    lengths = ListLengths.of(release, users, sizes).to_dict()
    out.note(num_users=len(users), lengths=lengths, **{name: dict(count) for name, count in counts.items()})
