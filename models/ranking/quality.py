"""How good a ranker's predictions are, on impressions it has not seen.

Shapes: N impressions.
"""

import numpy as np


def auc(labels_N: np.ndarray, scores_N: np.ndarray) -> float | None:
    """Chance that a positive scores above a negative, ties count half; None with only one kind of label."""
    return grouped_auc(np.zeros(len(labels_N), dtype=np.int64), labels_N, scores_N)


def grouped_auc(groups_N: np.ndarray, labels_N: np.ndarray, scores_N: np.ndarray) -> float | None:
    """AUC within each group, averaged with the groups' sizes as weights (gAUC: Zhu et al. 2017, "Optimized Cost per
    Click in Taobao Display Advertising", KDD). Groups with only one kind of label say nothing and are left out.

    Args:
        groups_N: group of each row, mostly the user.
        labels_N: 0 or 1.
    """
    order = np.lexsort((scores_N, groups_N))
    groups, labels, scores = groups_N[order], labels_N[order].astype(np.float64), scores_N[order]
    starts = _starts(groups[1:] != groups[:-1])
    tie_starts = _starts((groups[1:] != groups[:-1]) | (scores[1:] != scores[:-1]))
    tie_sizes = np.diff(np.append(tie_starts, len(order)))
    sizes = np.diff(np.append(starts, len(order)))
    ranks = np.repeat(tie_starts + (tie_sizes - 1) / 2, tie_sizes) - np.repeat(starts, sizes) + 1
    positives = np.add.reduceat(labels, starts)
    rank_sums = np.add.reduceat(labels * ranks, starts)
    pairs = positives * (sizes - positives)
    mixed = pairs > 0
    if not mixed.any():
        return None
    wins = rank_sums - positives * (positives + 1) / 2
    return float(np.average(wins[mixed] / pairs[mixed], weights=sizes[mixed]))


def _starts(changes: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.flatnonzero(changes) + 1])


def calibration_ratio(expected_N: np.ndarray, actual_N: np.ndarray) -> float | None:
    """Sum of predictions / sum of what came; 1 is calibrated; None where nothing came."""
    total = float(actual_N.sum(dtype=np.float64))
    return None if total == 0 else float(expected_N.sum(dtype=np.float64)) / total
