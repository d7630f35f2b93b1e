"""Chapters about how good the lists are, from the dataset `evaluation` and its notes."""

from collections.abc import Iterable, Mapping
from typing import Any

from tasks.pages.data import Cell, Figure, Section, Table, Tile
from tasks.pages.plots import Estimate, bars, intervals, lines

Row = Mapping[str, Any]
Key = tuple[str, str, str, int]  # system, segment, metric, k

MARKS = ("oracle", "popularity", "random")
"""Systems that others are measured against; all others are ours."""
ABLATION = "without "
CONTROL = "without nothing"
"""The whole pipeline on the users of the ablations."""
_COLUMNS = {
    "ndcg": "NDCG", "recall": "recall", "hit_rate": "hit rate", "mrr": "MRR", "map": "MAP", "precision": "precision",
    "coverage": "coverage", "diversity": "diversity", "novelty": "novelty (bits)", "gini": "Gini",
}  # fmt: skip


class Evaluation:
    """The dataset `evaluation` by key, with the notes of its stage."""

    def __init__(self, rows: Iterable[Row], notes: Mapping[str, Any]) -> None:
        self.rows: dict[Key, Row] = {(r["system"], r["segment"], r["metric"], r["k"]): r for r in rows}
        self.notes = notes
        self.k = int(notes["primary_k"])
        self.level = float(notes["confidence_level"])

    def row(self, system: str, metric: str, segment: str = "all", k: int | None = None) -> Row | None:
        return self.rows.get((system, segment, metric, self.k if k is None else k))

    def value(self, system: str, metric: str, segment: str = "all") -> float | None:
        row = self.row(system, metric, segment)
        return None if row is None else float(row["value"])

    def estimate(self, system: str, metric: str, segment: str = "all", k: int | None = None) -> Estimate | None:
        row = self.row(system, metric, segment, k)
        if row is None:
            return None
        low, high = (row[end] if row[end] is not None else row["value"] for end in ("low", "high"))
        return Estimate(float(row["value"]), float(low), float(high))

    def systems(self) -> list[str]:
        """Judged systems without ablations: best NDCG first."""
        names = {system for system, segment, *_ in self.rows if segment == "all"}
        shown = [n for n in names if not n.startswith(ABLATION)]
        return sorted(shown, key=lambda n: (-(self.value(n, "ndcg") or 0), n))

    def segments(self, of_items: bool) -> list[str]:
        """Segments other than `all`, in the order of the dataset."""
        names = dict.fromkeys(segment for _, segment, *_ in self.rows if segment != "all")
        return [n for n in names if n.startswith("items=") == of_items]

    def ablations(self) -> list[str]:
        """Parts that were left out in turn, the most missed first."""
        names = [s for s, _, metric, _ in self.rows if s.startswith(ABLATION) and metric == "ndcg_vs_final"]
        return sorted((n for n in names if n != CONTROL), key=lambda n: (self.value(n, "ndcg_vs_final") or 0, n))

    @property
    def confidence(self) -> str:
        return f"{self.level:.0%} interval"


def verdict(evaluation: Evaluation) -> str:
    """The night in one or two sentences."""
    notes = evaluation.notes
    lift = notes.get("lift_over_popularity")
    words = []
    if lift and lift["ratio"] is not None:
        better = "beat" if lift["low"] > 1 else ("do no better than" if lift["high"] >= 1 else "fall behind")
        words.append(
            f"The lists {better} popularity: {lift['ratio']:.2f} times its NDCG@{evaluation.k} "
            f"({evaluation.confidence} {lift['low']:.2f} to {lift['high']:.2f})."
        )
    share = notes.get("share_of_oracle")
    if share and share["ratio"] is not None:
        words.append(f"They reach {share['ratio']:.0%} of what the planted tastes allow.")
    return " ".join(words)


def quality_tiles(evaluation: Evaluation) -> list[Tile]:
    """Headline figures of quality."""
    notes, k = evaluation.notes, evaluation.k
    final = evaluation.estimate("final", "ndcg")
    assert final is not None
    tiles = [Tile(f"NDCG@{k}", f"{final.value:.3f}", f"{evaluation.confidence} {final.low:.3f} to {final.high:.3f}")]
    lift = notes.get("lift_over_popularity")
    if lift and lift["ratio"] is not None:
        tiles.append(Tile("over popularity", f"×{lift['ratio']:.2f}", f"{lift['low']:.2f} to {lift['high']:.2f}"))
    if notes.get("share_of_oracle", {}).get("ratio") is not None:
        share = notes["share_of_oracle"]
        ends = f"{share['low']:.0%} to {share['high']:.0%} of the best list possible"
        tiles.append(Tile("of the oracle", f"{share['ratio']:.0%}", ends, share["ratio"]))
    hit, coverage = evaluation.value("final", "hit_rate"), evaluation.value("final", "coverage")
    if hit is not None and coverage is not None:
        tiles.append(Tile(f"users with a hit in {k}", f"{hit:.0%}", f"of {notes['users_judged']:,} judged", hit))
        tiles.append(Tile("catalogue shown", f"{coverage:.0%}", f"of all items, in {k} places", coverage))
    return tiles


def quality_section(evaluation: Evaluation) -> Section:
    """All systems beside each other."""
    k, notes = evaluation.k, evaluation.notes
    estimates = {s: e for s in evaluation.systems() if (e := evaluation.estimate(s, "ndcg"))}
    left_out = notes["left_out"]
    days = notes["judged_days"]
    lead = (
        f"Judged on {' and '.join(days) if len(days) < 3 else f'{days[0]} to {days[-1]}'}, days that nothing was "
        f"trained on: {left_out['counted']:,} of {left_out['positives']:,} liked items count, by "
        f"{notes['users_judged']:,} users. " + _why_left_out(left_out)
    )
    figures = [
        Figure(
            f"NDCG@{k} by system",
            f"Further right is better: liked items stand nearer the top of the first {k} places. Whiskers are the "
            f"{evaluation.confidence} over users. The final lists are what is served; every source stands alone, "
            "behind the same filters. Oracle and random are the upper and lower marks.",
            intervals("systems", {s: {"": e} for s, e in estimates.items()}, f"NDCG@{k}", emphasis="final"),
        )
    ]
    cut_offs = sorted({key[3] for key in evaluation.rows if key[:3] == ("final", "all", "recall")})
    if len(cut_offs) > 1:
        figures.append(_recall_by_cut_off(evaluation, cut_offs))
    return Section("quality", "Quality", "Quality", lead, tuple(figures), (_systems_table(evaluation),))


def _why_left_out(left_out: Mapping[str, int]) -> str:
    reasons = {
        "by_users_unknown_at_the_cut": "by users who were not known yet",
        "of_items_unknown_at_the_cut": "of items that were not known yet",
        "of_items_seen_in_the_window": "of items already seen, which are never recommended",
        "repeated": "of an item liked twice",
    }
    parts = [f"{left_out[r]:,} {words}" for r, words in reasons.items() if left_out.get(r)]
    return f"Left out: {'; '.join(parts)}." if parts else "Nothing was left out."


def _recall_by_cut_off(evaluation: Evaluation, cut_offs: list[int]) -> Figure:
    shown = [s for s in ("final", "popularity", "random", "oracle") if evaluation.row(s, "recall")]
    curves = {s: (cut_offs, [e.value for c in cut_offs if (e := evaluation.estimate(s, "recall", k=c))]) for s in shown}
    return Figure(
        "Recall by length of the list",
        "Share of what people went on to like that stands in the first K places. The distance between the lines is "
        "what the models add; dotted lines are marks that no model made.",
        lines(
            "recall", curves, "K, places from the top", "recall@K",
            xticks=cut_offs, from_zero=True, dotted=[s for s in shown if s in ("random", "oracle")],
        ),
    )  # fmt: skip


def _systems_table(evaluation: Evaluation) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for system in evaluation.systems():
        estimate = evaluation.estimate(system, "ndcg")
        interval = f"{estimate.low:.3f} to {estimate.high:.3f}" if estimate else None
        cells: list[Cell] = [evaluation.value(system, metric) for metric in _COLUMNS]
        rows.append((system, cells[0], interval, *cells[1:]))
    columns = list(_COLUMNS.values())
    return Table(
        "quality",
        f"Every system, at {evaluation.k} places",
        "Precision counts hits per place, recall per liked item. Coverage is the share of the catalogue in any list; "
        "diversity is one minus the mean likeness of two items of a list, by genre; novelty is how surprising its "
        "items are, in bits; Gini is 0 when all items are recommended alike and 1 when one takes all.",
        ("system", columns[0], evaluation.confidence, *columns[1:]),
        tuple(rows),
        emphasis="final",
    )


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
            "Each line is a group of users; the blue dot is what they are served, the orange one popularity. Where the "
            "whiskers overlap, the group is too small or the gain too small to tell.",
            intervals("segments", {_in_words(n): e for n, e in estimates.items() if e}, f"NDCG@{k}"),
        )
    ]
    tiers = {_in_words(n): e for n in evaluation.segments(of_items=True) if (e := _of_systems(evaluation, n, "recall"))}
    if tiers:
        figures.append(
            Figure(
                f"Recall@{k} by how well known the liked item was",
                "Head items make the first half of all watching, torso the next 30%, tail the rest; cold items had no "
                "positive at all in the window. Popularity finds the head only.",
                intervals("tiers", tiers, f"recall@{k} of such items"),
            )
        )
    return Section(
        "segments", "Segments", "Who is served how well", "The same lists, by kind of user and kind of item.",
        tuple(figures), (_segments_table(evaluation, names),),
    )  # fmt: skip


def _of_systems(evaluation: Evaluation, segment: str, metric: str) -> dict[str, Estimate]:
    found = {s: evaluation.estimate(s, metric, segment) for s in ("final", "popularity")}
    return {s: e for s, e in found.items() if e}


def _in_words(segment: str) -> str:
    column, value = segment.split("=", 1)
    if column == "history":
        return "no history" if value == "0" else f"history of {value}"
    return f"{column.replace('_', ' ')} {value.replace('_', ' ')}" if column != "items" else f"{value} items"


def _segments_table(evaluation: Evaluation, names: list[str]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name in names:
        row = evaluation.row("final", "ndcg", name)
        if row:
            figures = [evaluation.value(s, m, name) for s, m in _SEGMENT_COLUMNS.values()]
            rows.append((_in_words(name), int(row["num_users"]), *figures))
    return Table(
        "segments", f"By kind of user, at {evaluation.k} places",
        "Groups with few users have wide intervals: read them with the plot above.",
        ("users who are", "users", *_SEGMENT_COLUMNS), tuple(rows),
    )  # fmt: skip


_SEGMENT_COLUMNS = {
    "NDCG final": ("final", "ndcg"),
    "NDCG popularity": ("popularity", "ndcg"),
    "recall final": ("final", "recall"),
    "hit rate final": ("final", "hit_rate"),
    "diversity": ("final", "diversity"),
    "coverage": ("final", "coverage"),
}


def ablation_section(evaluation: Evaluation) -> Section | None:
    """What each part is worth."""
    names = evaluation.ablations()
    if not names:
        return None
    changes = {n.removeprefix(ABLATION): {"": e} for n in names if (e := evaluation.estimate(n, "ndcg_vs_final"))}
    figure = Figure(
        f"Change of NDCG@{evaluation.k} when a part is left out",
        "Left of zero: the part helps, the lists get worse without it. Whiskers that cross zero: no difference that "
        "these users can show. Parts on the right cost accuracy, some of them on purpose (variety, caps, exploration).",
        intervals("ablations", changes, f"change of NDCG@{evaluation.k}", zero_line=True, digits=4),
    )
    metrics = ("ndcg", "recall", "coverage", "diversity", "novelty", "average_popularity")
    rows: list[tuple[Cell, ...]] = [
        (n, *(evaluation.value(n, m) for m in metrics)) for n in (CONTROL, *names) if evaluation.value(n, "ndcg")
    ]
    table = Table(
        "ablations", f"Without each part, at {evaluation.k} places",
        "The first row is the whole pipeline on the same users. What costs accuracy should buy variety or reach.",
        ("pipeline", "NDCG", "recall", "coverage", "diversity", "novelty (bits)", "mean popularity"),
        tuple(rows), digits=4, emphasis=CONTROL,
    )  # fmt: skip
    users = evaluation.row(names[0], "ndcg_vs_final")
    lead = (
        f"The same bundle with one source, step or filter switched off at a time, on {users['num_users']:,} judged "
        "users, compared user by user with the whole pipeline."
        if users
        else ""
    )
    return Section("ablations", "Ablations", "What each part is worth", lead, (figure,), (table,))


def sources_section(evaluation: Evaluation, removed: Mapping[str, int]) -> Section:
    """Where the lists come from and what the filters took out."""
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
        "Several sources propose, filters remove, the ranker and the order decide.",
        tuple(figures), (_sources_table(found),) if found else (),
    )  # fmt: skip


def _sources_table(found: Mapping[str, Mapping[str, int]]) -> Table:
    rows = tuple(
        (s, f["recommended"], f["hits"], f["hits"] / f["recommended"] if f["recommended"] else None)
        for s, f in found.items()
    )
    return Table(
        "sources", "Hits by source", "Hit rate is the share of the source's places that the user went on to like.",
        ("source", "places", "hits", "hits per place"), rows, digits=4,
    )  # fmt: skip
