"""Chapters that take the quality apart: by kind of user and item, by source, by each part left out."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.pages.data import Cell, Figure, Section, Table
from tasks.pages.plots import Estimate, bars, intervals
from tasks.pages.quality import ABLATION, CONTROL, Evaluation


def segments_section(evaluation: Evaluation) -> Section | None:
    """Who is served well, and who is not."""
    k = evaluation.k
    names = evaluation.segments(of_items=False)
    if not names:
        return None
    estimates = {n: _of_systems(evaluation, n, "ndcg") for n in names}
    figures = [
        Figure(
            f"NDCG@{k} by kind of user",
            "Each line is a group of users; the blue dot is what they are served, the orange one popularity. Whiskers "
            "that overlap decide nothing, as the same users had both: the table has the difference, user by user.",
            intervals("segments", {in_words(n): e for n, e in estimates.items() if e}, f"NDCG@{k}"),
        )
    ]
    tiers = {in_words(n): e for n in evaluation.segments(of_items=True) if (e := _of_systems(evaluation, n, "recall"))}
    if tiers:
        figures.append(
            Figure(
                f"Recall@{k} by how well known the liked item was",
                "Head items make the first half of all watching, torso the next 30%, tail the rest; cold items had no "
                "positive at all in the window. Lists of what is popular find little but the head.",
                intervals("tiers", tiers, f"recall@{k} of such items"),
            )
        )
    return Section(
        "segments", "Segments", "Who is served how well", "The same lists, by kind of user and kind of item.",
        tuple(figures), (_segments_table(evaluation, names), *_kinds_table(evaluation)),
    )  # fmt: skip


def _of_systems(evaluation: Evaluation, segment: str, metric: str) -> dict[str, Estimate]:
    found = {s: evaluation.estimate(s, metric, segment) for s in ("final", "popularity")}
    return {s: e for s, e in found.items() if e}


def in_words(segment: str) -> str:
    """A segment as people say it."""
    column, value = segment.split("=", 1)
    if column == "history":
        return "no history" if value == "0" else f"history of {value}"
    return f"{column.replace('_', ' ')} {value.replace('_', ' ')}" if column != "items" else f"{value} items"


def _segments_table(evaluation: Evaluation, names: list[str]) -> Table:
    rows, columns = list[tuple[Cell, ...]](), list(_SEGMENT_COLUMNS)
    for name in names:
        row = evaluation.row("final", "ndcg", name)
        if row:
            figures = [evaluation.value(s, m, name) for s, m in _SEGMENT_COLUMNS.values()]
            paired = evaluation.row("popularity", "ndcg_vs_final", name)
            lead = (-paired["value"], paired["p_value"]) if paired else (None, None)
            rows.append((in_words(name), int(row["num_users"]), *figures[:2], *lead, *figures[2:]))
    return Table(
        "segments", f"By kind of user, at {evaluation.k} places",
        "The lead is of NDCG over popularity, user by user, with its p-value: how sure it is that there is one.",
        ("users who are", "users", *columns[:2], "lead", "p", *columns[2:]), tuple(rows),
    )  # fmt: skip


_SEGMENT_COLUMNS = {
    "NDCG final": ("final", "ndcg"),
    "NDCG popularity": ("popularity", "ndcg"),
    "recall final": ("final", "recall"),
    "hit rate final": ("final", "hit_rate"),
    "diversity": ("final", "diversity"),
    "coverage": ("final", "coverage"),
    "in top genres": ("final", "study_precision"),
    "miscalibration": ("final", "miscalibration"),
}


def _kinds_table(evaluation: Evaluation) -> list[Table]:
    """A table by kind of item of where hits and places are; none where no kind was judged."""
    rows: list[tuple[Cell, ...]] = []
    for name in evaluation.segments(of_items=True):
        shares = [evaluation.value(s, "share_of_places", name) for s in ("final", "popularity")]
        rows.append((in_words(name), *(_total(evaluation, s, name) for s in ("final", "popularity")), *shares))
    note = (
        "Hits are liked items in the lists of all judged users. A kind with a larger share of places than of hits is "
        "shown more than it is liked."
    )
    heads = ("items", "hits final", "hits popularity", "places final", "places popularity")
    return [Table("kinds", f"By kind of item, at {evaluation.k} places", note, heads, tuple(rows))] if rows else []


def _total(evaluation: Evaluation, system: str, segment: str) -> int:
    row = evaluation.row(system, "hits", segment)
    return round(row["value"] * row["num_users"]) if row else 0


def ablation_section(evaluation: Evaluation) -> Section | None:
    """What each part is worth."""
    names, k = evaluation.ablations(), evaluation.ablation_k
    if not names:
        return None
    changes = {
        n.removeprefix(ABLATION).replace("_", " "): {"": e}
        for n in names
        if (e := evaluation.estimate(n, "ndcg_vs_final", k=k))
    }
    figure = Figure(
        f"Change of NDCG@{k} when a part is left out",
        "Left of zero: the part helps, the lists get worse without it. Whiskers that cross zero: no difference that "
        "these users can show. Parts on the right cost accuracy, some of them on purpose (variety, caps, exploration).",
        intervals("ablations", changes, f"change of NDCG@{k}", zero_line=True, digits=4),
    )
    rows: list[tuple[Cell, ...]] = [
        (n, *(evaluation.value(n, m, k=k) for m in _ABLATION_COLUMNS.values()), evaluation.p_value(n, k))
        for n in (CONTROL, *names)
    ]
    table = Table(
        "ablations", f"Without each part, at {k} places",
        "The first row is the whole pipeline on the same users. The same items is the share of the list that stays "
        "when the part is gone: 1 would mean that it does nothing. What costs accuracy should buy variety or reach. "
        "The p-value is of the change of NDCG, user by user; of twenty parts that do nothing one is below .05.",
        ("pipeline", *_ABLATION_COLUMNS, "p-value"), tuple(rows), emphasis=CONTROL,
    )  # fmt: skip
    users = evaluation.row(names[0], "ndcg_vs_final", k=k)
    assert users is not None
    lead = (
        f"The same bundle with one source, step or filter switched off at a time, on {users['num_users']:,} judged "
        "users, compared user by user with the whole pipeline, over the whole list."
    )
    return Section("ablations", "Ablations", "What each part is worth", lead, (figure,), (table,))


_ABLATION_COLUMNS = {
    "NDCG": "ndcg",
    "recall": "recall",
    "the same items": "overlap_with_final",
    "coverage": "coverage",
    "diversity": "diversity",
    "novelty (bits)": "novelty",
    "Gini": "gini",
}


_LATER = {
    "index": "by what is known of them", "neighbours": "by their history", "ranking": "as everybody",
    "lists": "nothing", "vectors": "nothing", "vectors with an encoder": "by their history",
}  # fmt: skip
"""What a source of each kind has for somebody who comes after the night."""


def sources_section(
    evaluation: Evaluation, removed: Mapping[str, int], declared: Sequence[Mapping[str, Any]], lengths: str = ""
) -> Section:
    """Where the lists come from and what the filters took out.

    Args:
        declared: the sources that the release has, as its `sources.json` tells.
        lengths: how many users have no list or a short one, and why.
    """
    found: Mapping[str, Mapping[str, int]] = evaluation.notes.get("hits_by_source", {})
    figures = []
    if found:
        places = max(sum(f["recommended"] for f in found.values()), 1)
        hits = max(sum(f["hits"] for f in found.values()), 1)
        shares = {
            source: {"places": f["recommended"] / places, "hits": f["hits"] / hits}
            for source, f in sorted(found.items(), key=lambda pair: -pair[1]["recommended"])
        }
        figures.append(
            Figure(
                "Places and hits by source",
                "Each item is credited to the source that ranked it highest. Where the share of hits is larger than "
                "that of places, the source earns more than it is given.",
                bars("sources", shares, "share of all places, and of all hits", percent=True),
            )
        )
    if removed:
        ordered = {r: {"": float(n)} for r, n in sorted(removed.items(), key=lambda pair: -pair[1])}
        figures.append(
            Figure(
                "Candidates removed, by reason",
                "How many retrieved candidates each filter or rule took out, over all users. A filter that removes "
                "nothing on any night is either not needed or not working.",
                bars("removed", ordered, "candidates removed"),
            )
        )
    return Section(
        "sources", "Sources", "Where the lists come from",
        "Several sources propose, filters remove, the ranker and the order decide."
        + (f" Of the lists: {lengths}." if lengths else ""),
        tuple(figures), (_sources_table(found, declared),) if found else (),
    )  # fmt: skip


def _kind(source: Mapping[str, Any]) -> str:
    """By the files that a source has: after the vectors of users and of items come those of an encoder."""
    has_encoder = source["kind"] == "vectors" and len(source["files"]) > 2
    return str(source["kind"]) + " with an encoder" * has_encoder


def _sources_table(found: Mapping[str, Mapping[str, int]], declared: Sequence[Mapping[str, Any]]) -> Table:
    later = {source["name"]: _LATER[_kind(source)] for source in declared}
    rows = tuple(
        (s, f["recommended"], f["hits"], f["hits"] / f["recommended"] if f["recommended"] else None, later[s])
        for s, f in sorted(found.items(), key=lambda pair: -pair[1]["recommended"])
    )
    return Table(
        "sources", "Hits by source",
        "Of the first places of the judged users: how many each source filled, and how many were liked, and what "
        "it has for somebody who comes later.",
        ("source", "places", "hits", "hits per place", "who comes later"), rows, digits=4,
    )  # fmt: skip
