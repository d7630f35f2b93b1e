"""How good predictions are one by one: a probability, a rating, an order of scores.

Shapes: N predictions. Labels are 0 or 1. Nothing here knows of lists.
"""

import numpy as np

from expectations.errors import Failure


def auc(labels_N: np.ndarray, scores_N: np.ndarray) -> float | None:
    """Chance that a positive scores above a negative, ties count half; None with only one kind of label.

    Raises:
        Failure: scores that are not finite, which have no order.
    """
    return grouped_auc(np.zeros(len(labels_N), dtype=np.int64), labels_N, scores_N)


def grouped_auc(groups_N: np.ndarray, labels_N: np.ndarray, scores_N: np.ndarray) -> float | None:
    """AUC within each group, averaged with the groups' sizes as weights (gAUC: Zhu et al. 2017, "Optimized Cost per
    Click in Taobao Display Advertising", KDD). Groups with only one kind of label say nothing and are left out.

    Args:
        groups_N: group of each row, mostly the user.
        labels_N: 0 or 1.

    Raises:
        Failure: scores that are not finite, which have no order.
    """
    wrong = np.count_nonzero(~np.isfinite(scores_N))
    if wrong:
        raise Failure(
            f"AUC: {wrong:,} of {len(scores_N):,} scores are not finite; look for NaN in the training of the model"
        )
    if not len(labels_N):
        return None
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


def log_loss(labels_N: np.ndarray, probabilities_N: np.ndarray) -> float:
    """Mean negative log likelihood in nats: 0 is certain and right, log 2 is a coin.

    A certain mistake costs as much as the smallest distance from 0 and 1 that float64 knows allows (36 nats), rather
    than everything.
    """
    least = np.finfo(np.float64).eps
    right = np.where(labels_N == 1, probabilities_N, 1 - probabilities_N.astype(np.float64))
    return float(-np.log(np.clip(right, least, 1 - least)).mean())


def rmse(actual_N: np.ndarray, predicted_N: np.ndarray) -> float:
    """Root of the mean squared error, in units of the rating; large errors weigh most."""
    return float(np.sqrt(np.mean(np.square(predicted_N.astype(np.float64) - actual_N))))


def mae(actual_N: np.ndarray, predicted_N: np.ndarray) -> float:
    """Mean absolute error, in units of the rating."""
    return float(np.abs(predicted_N.astype(np.float64) - actual_N).mean())


def expected_calibration_error(labels_N: np.ndarray, probabilities_N: np.ndarray, num_bins: int = 15) -> float:
    """How far predicted probabilities are from what came, 0 to 1: predictions go into bins of equal width, and the
    distances between mean prediction and share of positives are averaged with the bins' sizes as weights (Naeini et
    al. 2015, AAAI; Guo et al. 2017, ICML). A bin holds its upper end.

    One that always predicts the mean has none, so it stands beside log loss or AUC, never alone.
    """
    bins = np.clip(np.ceil(probabilities_N * num_bins).astype(np.int64) - 1, 0, num_bins - 1)
    predicted = np.bincount(bins, weights=probabilities_N, minlength=num_bins)
    came = np.bincount(bins, weights=labels_N, minlength=num_bins)
    return float(np.abs(predicted - came).sum() / len(labels_N))


def calibration_ratio(expected_N: np.ndarray, actual_N: np.ndarray) -> float | None:
    """Sum of predictions / sum of what came; 1 is calibrated; None where nothing came."""
    total = float(actual_N.sum(dtype=np.float64))
    return None if total == 0 else float(expected_N.sum(dtype=np.float64)) / total
