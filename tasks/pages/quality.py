"""The chapter about how good the lists are, and the dataset `evaluation` as the report reads it."""

from collections.abc import Iterable, Mapping
from typing import Any

from models.evaluation.potential import Potential, sentences
from tasks.pages.data import Cell, Figure, Section, Table, Tile
from tasks.pages.plots import Estimate, intervals, lines

Row = Mapping[str, Any]
Key = tuple[str, str, str, int]  # system, segment, metric, k

MARKS = ("oracle", "popularity", "random")
"""Systems that others are measured against; all others are ours."""
ABLATION = "without "
CONTROL = "without nothing"
"""The whole pipeline on the users of the ablations."""
_COLUMNS = {
    "ndcg": "NDCG", "recall": "recall", "hit_rate": "hit rate", "mrr": "MRR", "map": "MAP", "precision": "precision",
    "serendipity": "serendipity",
}  # fmt: skip
_BESIDES_COLUMNS = {
    "coverage": "coverage", "gini": "Gini", "novelty": "novelty (bits)", "diversity": "diversity",
    "miscalibration": "miscalibration", "study_precision": "in top genres", "study_diversity": "genres shown",
    "study_combined": "combined",
}  # fmt: skip
"""`average_popularity` is novelty told otherwise, and stays in the dataset."""


class Evaluation:
    """The dataset `evaluation` by key, with the notes of its stage."""

    def __init__(self, rows: Iterable[Row], notes: Mapping[str, Any]) -> None:
        self.rows: dict[Key, Row] = {(r["system"], r["segment"], r["metric"], r["k"]): r for r in rows}
        self.notes = notes
        self.k = int(notes["primary_k"])
        self.ablation_k = int(notes["ablation_k"])
        self.level = float(notes["confidence_level"])

    def row(self, system: str, metric: str, segment: str = "all", k: int | None = None) -> Row | None:
        """One row, at the primary cut-off unless told otherwise; None where there is none."""
        return self.rows.get((system, segment, metric, self.k if k is None else k))

    def value(self, system: str, metric: str, segment: str = "all", k: int | None = None) -> float | None:
        """The figure of a row."""
        row = self.row(system, metric, segment, k)
        return None if row is None else float(row["value"])

    def estimate(self, system: str, metric: str, segment: str = "all", k: int | None = None) -> Estimate | None:
        """The figure of a row with its interval."""
        row = self.row(system, metric, segment, k)
        if row is None:
            return None
        low, high = (row[end] if row[end] is not None else row["value"] for end in ("low", "high"))
        return Estimate(float(row["value"]), float(low), float(high))

    def p_value(self, system: str, k: int) -> float | None:
        """The p-value of the difference in NDCG to the final lists; None for a system not compared with them."""
        row = self.row(system, "ndcg_vs_final", k=k)
        return None if row is None else row["p_value"]

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
        compared = [s for s, segment, metric, _ in self.rows if (segment, metric) == ("all", "ndcg_vs_final")]
        return sorted(
            (n for n in compared if n.startswith(ABLATION) and n != CONTROL),
            key=lambda n: (self.value(n, "ndcg_vs_final", k=self.ablation_k) or 0, n),
        )

    @property
    def confidence(self) -> str:
        """What the whiskers are, in words."""
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


def quality_section(evaluation: Evaluation, potential: Potential) -> Section:
    """All systems beside each other, below what the days allow."""
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
            "behind the same filters, and one that has nothing for a user scores 0 there. Random lists are the lower "
            "mark" + (", the oracle's the upper one." if "oracle" in estimates else "."),
            intervals("systems", {s: {"": e} for s, e in estimates.items()}, f"NDCG@{k}", emphasis="final"),
        )
    ]
    cut_offs = sorted({key[3] for key in evaluation.rows if key[:3] == ("final", "all", "recall")})
    if len(cut_offs) > 1:
        figures.append(_recall_by_cut_off(evaluation, cut_offs))
    tables, points = _systems_tables(evaluation), tuple(sentences(potential))
    return Section("quality", "Quality", "Quality", lead, tuple(figures), tables, points=points)


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


def _systems_tables(evaluation: Evaluation) -> tuple[Table, Table]:
    right = Table(
        "quality",
        f"Every system, at {evaluation.k} places: is it right?",
        "Precision counts hits per place, recall per liked item. Serendipity counts what popularity would have missed.",
        *_by_system(evaluation, _COLUMNS, "ndcg"),
        emphasis="final",
    )
    besides = Table(
        "besides",
        f"Every system, at {evaluation.k} places: what is it besides right?",
        "Coverage is the share of the catalogue in any list; Gini is 0 when all items are recommended alike and 1 when "
        "one takes all; novelty is how surprising a list's items are, in bits; diversity is one minus the mean "
        "likeness of two of them, by genre; miscalibration is 0 when a list has its user's proportions of genres. The "
        "last three are the study's: places whose primary genre is among the user's top three, different primary "
        "genres over the most there could be, and the harmonic mean of the two, with its interval. They know nothing "
        "of what anybody liked: read them beside NDCG.",
        *_by_system(evaluation, _BESIDES_COLUMNS, "study_combined"),
        emphasis="final",
    )
    return right, besides


def _by_system(
    evaluation: Evaluation, columns: Mapping[str, str], sure_of: str
) -> tuple[tuple[str, ...], tuple[tuple[Cell, ...], ...]]:
    """Heads and rows of a table of figures, the one metric `sure_of` with its interval after it."""
    heads: list[str] = ["system"]
    for metric, head in columns.items():
        heads += [head, evaluation.confidence] if metric == sure_of else [head]
    rows: list[tuple[Cell, ...]] = []
    for system in evaluation.systems():
        cells: list[Cell] = [system]
        for metric in columns:
            estimate = evaluation.estimate(system, metric)
            cells.append(estimate.value if estimate else None)
            if metric == sure_of:
                cells.append(f"{estimate.low:.3f} to {estimate.high:.3f}" if estimate else None)
        rows.append(tuple(cells))
    return tuple(heads), tuple(rows)
