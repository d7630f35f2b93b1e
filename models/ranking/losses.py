"""Losses of the ranker's tasks, one value a row; weights and means are the caller's.

Shapes: N rows.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus


def click_loss(logits_N: Tensor, click_N: Tensor) -> Tensor:
    """Logistic loss of shown and watched (1) against shown and not watched (0)."""
    return binary_cross_entropy_with_logits(logits_N, click_N, reduction="none")


def watch_time_loss(logits_N: Tensor, watch_N: Tensor, click_N: Tensor, *, exact: bool) -> Tensor:
    """Weighted logistic regression of watch time (Covington et al. 2016, "Deep Neural Networks for YouTube
    Recommendations", RecSys, section 4.2): watched impressions weigh what was watched, unwatched ones weigh 1.

    The learnt odds, exp(logit), are then E[watch] / (1 - P(click)), near E[watch] while clicks are rare. With `exact`
    every impression weighs 1 as a negative, the watched ones too, and the odds are E[watch] whatever the click rate.

    Args:
        watch_N: time watched, 0 where not watched. In any unit: odds come out in the same one. With the mean over
            all impressions as the unit, odds are near 1 and steps of the optimiser well scaled.
    """
    negative_N = torch.ones_like(click_N) if exact else 1 - click_N
    return watch_N * softplus(-logits_N) + negative_N * softplus(logits_N)


def completion_loss(logits_N: Tensor, completed_N: Tensor) -> Tensor:
    """Logistic loss of completed (1) against begun and left (0); 0 where not clicked or not known (NaN)."""
    known_N = ~torch.isnan(completed_N)
    loss_N = binary_cross_entropy_with_logits(logits_N, completed_N.nan_to_num(0.0), reduction="none")
    return torch.where(known_N, loss_N, torch.zeros_like(loss_N))
