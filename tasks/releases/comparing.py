"""Two releases beside each other: figures, segments, the same users' lists judged alike, files."""

import dataclasses
from pathlib import Path
from typing import Any

from expectations.errors import Failure, UserError
from models.evaluation.config import EvaluationConfig
from models.serving.bundle_runtime import open_bundle
from tasks.engine.lake import Artifact, Lake
from tasks.registry.registry import Registry, Version
from tasks.registry.release_layout import FOLDER
from tasks.registry.signing import Keys
from tasks.releases.champion_lists import champion_lists
from tasks.releases.pulling import manifest_of
from tasks.releases.trust import made_from, vouched_manifest
from tasks.stages.judged_users import inputs_of, judged_and_catalogue, segments_of

MOST_JUDGED = 2000
"""Users on whom an older release is asked again."""


def compare_versions(registry: Registry, lake: Lake, a: Version, b: Version, scratch: Path) -> dict[str, Any]:
    """Figures of both with their difference (b - a), by segment too; share of A's lists that is in B's; files.

    `paired` has both on the same users: see `judged_alike`. What the lake no longer holds is left out and named in
    `notes`.

    Args:
        scratch: where a release is kept while it is asked.

    Raises:
        UserError: both are the same version.
        Failure: nobody vouches for one of them.
    """
    if a.number == b.number:
        raise UserError(f"both are version {a.number}; name two, such as: nightjar compare @champion @candidate")
    for version in (a, b):
        vouched_manifest(version, Keys(registry.home).pinned())
    notes: list[str] = []

    def both(tag: str) -> tuple[Artifact, Artifact] | None:
        found = [made_from(lake, v, tag) for v in (a, b)]
        missing = [str(v.number) for v, one in zip((a, b), found, strict=True) if one is None]
        if missing:
            notes.append(f"{tag} of version {' and '.join(missing)} is not in the lake {lake.url}")
        first, second = found
        return (first, second) if first and second else None

    def paired() -> dict[str, Any]:
        try:
            return judged_alike(registry, lake, a, b, scratch)
        except Failure as error:
            notes.append(f"not judged on the same users: {error}")
            return {}

    runs = [registry.run(v.run_id) for v in (a, b)]
    lost = [version.number for version, run in zip((a, b), runs, strict=True) if run is None]
    notes += [f"the MLflow run of version {number}, which had its figures, was deleted" for number in lost]
    figures = _beside(*(run.data.metrics for run in runs)) if all(runs) else {}
    metrics = {n: v for n, v in figures.items() if n.startswith("final.") or n == "index.recall"}
    judged, lists = both("evaluation"), both("recommendations")
    return {
        "a": a.number,
        "b": b.number,
        "metrics": metrics,
        "segments": _beside(*(_segments(one) for one in judged)) if judged else {},
        "paired": paired() if judged else {},
        "overlap": overlap(*lists) if lists else None,
        "files": _differing(registry, a, b),
        "notes": notes,
    }


def judged_alike(registry: Registry, lake: Lake, a: Version, b: Version, scratch: Path) -> dict[str, Any]:
    """Both releases on the same users and days, user by user, so that what differs is the releases and not the days.

    Judged as in the night of the newer one, which knows nothing of its judged days; the other, which knows less, is
    asked anew for lists of the same users.

    Returns:
        judged_by: version whose night's days these are. judged_days. users: how many, at most `MOST_JUDGED`.
        figures: segment and metric -> both means and `difference` (b - a) with its interval `low` to `high`, `p_value`
        (paired bootstrap, see models/metrics/bootstrap.py) and `users`.

    Raises:
        Failure: the lake or the registry no longer holds what that takes.
    """
    from models.evaluation.judging import COMPARED, evaluation_table
    from models.evaluation.systems import lists_from_table

    newer, older = (b, a) if _day(b) >= _day(a) else (a, b)
    evaluation = made_from(lake, newer, "evaluation")
    assert evaluation is not None
    made = inputs_of(lake, evaluation)
    users, items, histories, popularity = (made[n][0] for n in ("users", "items", "histories", "popularity"))
    config = EvaluationConfig(**evaluation.manifest["config"]["config"])
    config = dataclasses.replace(config, ks=(config.primary_k,), max_users=min(config.max_users, MOST_JUDGED))
    judged, catalogue = judged_and_catalogue(made["watches"], users, items, histories, popularity, config)
    own = open_bundle(made["bundle"][0].path / FOLDER, threads=1, verify=False)
    length = int(own.pipeline["k"])
    theirs = champion_lists(registry, older.number, own.id_map, judged.user_ids, config.primary_k, length, scratch)
    final = made["recommendations"][0].table(["user_id", "rank", "item_id"])
    lists = {newer.number: lists_from_table(final, judged.user_ids, config.primary_k), older.number: theirs}
    segments = segments_of(judged, users, histories)
    table = evaluation_table(
        {"a": lists[a.number], "b": lists[b.number]}, judged, segments, catalogue, config, baseline="a"
    )
    rows = {(r["system"], r["segment"], r["metric"]): r for r in table.to_pylist()}
    figures = {}
    for segment in segments:
        for metric in COMPARED:
            change = rows["b", segment, f"{metric}_vs_final"]
            figures[f"{segment} {metric}@{config.primary_k}"] = {
                "a": rows["a", segment, metric]["value"],
                "b": rows["b", segment, metric]["value"],
                "difference": change["value"],
                **{name: change[name] for name in ("low", "high", "p_value")},
                "users": change["num_users"],
            }
    days_judged = [day.date for day in made["watches"]]
    return {"judged_by": newer.number, "judged_days": days_judged, "users": len(judged.user_ids), "figures": figures}


def _day(version: Version) -> str:
    return version.day


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
    first, second = (manifest_of(registry, version)["files"] for version in (a, b))
    return sorted(n for n in first.keys() | second.keys() if first.get(n) != second.get(n))
