"""Two releases beside each other: figures, segments, lists, files."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tasks.lake import MANIFEST, Artifact, Lake, Ref, read_json
from tasks.registry import Registry, Version


def compare_versions(registry: Registry, lake: Lake, a: Version, b: Version) -> dict[str, Any]:
    """Figures of both with their difference (b - a), by segment too; share of A's lists that is in B's; files.

    What the lake no longer holds is left out and named in `notes`.
    """
    notes: list[str] = []

    def both(tag: str) -> tuple[Artifact, Artifact] | None:
        found = [_artifact(lake, v, tag) for v in (a, b)]
        missing = [str(v.number) for v, one in zip((a, b), found, strict=True) if one is None]
        if missing:
            notes.append(f"{tag} of version {' and '.join(missing)} is not in the lake {lake.url}")
        first, second = found
        return (first, second) if first and second else None

    runs = [registry.client.get_run(v.run_id).data.metrics for v in (a, b)]
    metrics = {n: v for n, v in _beside(*runs).items() if n.startswith("final.") or n == "index.recall"}
    judged, lists = both("evaluation"), both("recommendations")
    return {
        "a": a.number,
        "b": b.number,
        "metrics": metrics,
        "segments": _beside(*(_segments(one) for one in judged)) if judged else {},
        "overlap": overlap(*lists) if lists else None,
        "files": _differing(registry, a, b),
        "notes": notes,
    }


def _artifact(lake: Lake, version: Version, tag: str) -> Artifact | None:
    folder = version.tags.get(f"nightjar.{tag}")
    if not folder:
        return None
    dataset, date, key = folder.split("/")[:3]
    return lake.find(Ref(dataset, date.removeprefix("date="), key))


def _beside(a: dict[str, float], b: dict[str, float]) -> dict[str, dict[str, float]]:
    return {n: {"a": a[n], "b": b[n], "difference": b[n] - a[n]} for n in sorted(a.keys() & b.keys())}


def _segments(evaluation: Artifact) -> dict[str, float]:
    rows = evaluation.table().to_pylist()
    return {
        f"{r['segment']} {r['metric']}@{r['k']}": float(r["value"])
        for r in rows
        if r["system"] == "final" and r["segment"] != "all" and r["metric"] in ("ndcg", "recall")
    }


def overlap(a: Artifact, b: Artifact) -> float | None:
    """Mean over users of both: the share of the first list that is also in the second.

    By dense ids, which stay the same while users and items are listed (docs/decisions.md no. 7)."""
    columns = ["user_id", "item_id"]
    left, right = (one.table(columns) for one in (a, b))
    mine = left.group_by("user_id").aggregate([("item_id", "count")])
    shared = left.join(right, columns, join_type="inner").group_by("user_id").aggregate([("item_id", "count")])
    users = set(right["user_id"].to_pylist())
    sizes = dict(zip(mine["user_id"].to_pylist(), mine["item_id_count"].to_pylist(), strict=True))
    common = dict(zip(shared["user_id"].to_pylist(), shared["item_id_count"].to_pylist(), strict=True))
    shares = [common.get(u, 0) / n for u, n in sizes.items() if u in users]
    return sum(shares) / len(shares) if shares else None


def _differing(registry: Registry, a: Version, b: Version) -> list[str]:
    """Names of files that only one has, or that differ, by the manifests in the registry."""
    files = []
    for version in (a, b):
        with TemporaryDirectory() as folder:
            registry.files(version.number)(MANIFEST, path := Path(folder) / MANIFEST)
            files.append(read_json(path)["files"])
    return sorted(n for n in files[0].keys() | files[1].keys() if files[0].get(n) != files[1].get(n))
