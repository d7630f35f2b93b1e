"""The chapter about popularity bias: does the rich get richer?"""

import numpy as np

from models.evaluation.catalogue import TIERS, CatalogueFacts
from models.metrics.beyond_accuracy import gini, lorenz_curve
from tasks.pages.data import Figure, Section, Table
from tasks.pages.plots import bars, lorenz, scatter

_CURVE_POINTS = 80


def bias_section(catalogue: CatalogueFacts, recommended: np.ndarray, max_points: int) -> Section:
    """Recommendations of every user against what the window watched.

    Args:
        recommended: item ids of all places of all lists, int `[...]`.
    """
    ids = catalogue.item_ids
    counts = np.bincount(recommended, minlength=len(catalogue.tier))[ids]
    watched = catalogue.watched_share[ids]
    tiers = catalogue.tier[ids]
    by_tier = {
        name: {
            "recommended": float(counts[tiers == t].sum() / max(counts.sum(), 1)),
            "watched": float(watched[tiers == t].sum()),
            "catalogue": float((tiers == t).mean()),
        }
        for t, name in enumerate(TIERS)
    }
    shown = _sample_over_ranks(watched, max_points)
    per_100k = watched[shown] * 100_000
    shares = counts[shown] / max(counts.sum(), 1) * 100_000
    figures = (
        Figure(
            "Who gets the places: head, torso, tail, cold",
            "Head items make the first half of all watching, torso the next 30%, tail the rest, cold items none. A "
            "fair recommender gives the head no more than people do by themselves.",
            bars("bias-tiers", by_tier, "share of all places, of all watching, of all items", percent=True),
        ),
        Figure(
            "How evenly places are spread",
            "The further a curve sags below the line of equality, the fewer items take most of the places (Gini is "
            "twice the area between). Recommendations should not sag below what people watch.",
            lorenz("lorenz", {"recommended": _curve(counts), "watched": _curve(watched)}),
        ),
        Figure(
            "Recommended how often, by popularity",
            f"One dot an item ({len(shown):,} of {len(ids):,}), logarithmic. On the line an item is recommended as "
            "often as it is watched; above it more, below it less; at the bottom, never.",
            scatter("bias-items", per_100k.tolist(), shares.tolist(), "watchers of the item, per 100,000 watchers",
                    "places of the item, per 100,000 places", diagonal=True),
        ),
    )  # fmt: skip
    table = Table(
        "bias", "Concentration", "Gini is 0 when all items get alike, 1 when one takes all.",
        ("what", "Gini", "items with any", "share of items with any"),
        (
            ("recommended", gini(counts), int((counts > 0).sum()), float((counts > 0).mean())),
            ("watched", gini(watched), int((watched > 0).sum()), float((watched > 0).mean())),
        ),
    )  # fmt: skip
    lead = f"All {len(recommended):,} places of all lists against what the window watched."
    return Section("bias", "Bias", "Popularity bias", lead, figures, (table,))


def _sample_over_ranks(watched: np.ndarray, max_points: int) -> np.ndarray:
    """Places of items from the most to the least watched, evenly thinned to `max_points`."""
    order = np.argsort(-watched, kind="stable")
    step = np.unique(np.linspace(0, len(order) - 1, min(max_points, len(order))).astype(np.int64))
    return order[step]


def _curve(counts: np.ndarray) -> tuple[list[float], list[float]]:
    curve = lorenz_curve(counts)
    places = np.unique(np.linspace(0, len(curve) - 1, min(_CURVE_POINTS, len(curve))).astype(np.int64))
    return (places / (len(curve) - 1)).tolist(), curve[places].tolist()
