"""The sampled softmax of the towers, and the probabilities that its correction needs.

Shapes: B examples of a batch, C candidates (the B positives of the batch first, then uniform negatives), G users of a
batch, D dimensions.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional


def sampled_softmax(
    users_BD: Tensor,
    candidates_CD: Tensor,
    candidate_ids_C: Tensor,
    *,
    temperature: float,
    log_q_C: Tensor | None = None,
    mask_accidental_hits: bool = True,
) -> Tensor:
    """Mean cross-entropy of finding example i's positive, candidate i, among all items, estimated from C candidates.

    Every other candidate is a negative: in-batch negatives, and whatever stands after them. An item drawn with
    probability Q is among C - 1 negatives (C - 1) Q times on average, which punishes popular items for being popular;
    subtracting the log of that from a negative's logit makes the sum over negatives an unbiased estimate of the sum
    over all other items (logQ correction, Bengio and Senecal 2008; Yi et al. 2019). The positive is there by
    construction, not by luck, and keeps its logit: subtracting its log Q too, as the latter paper does, makes popular
    items come out too high as soon as a batch holds them more than once (Khrylchenko et al. 2025). For the same
    reason an accidental hit, a negative that is the example's own positive, must not count.

    Args:
        candidate_ids_C: which candidates are the same item.
        temperature: divides the scores, which are cosines when the vectors have unit length.
        log_q_C: log of every candidate's sampling probability; None leaves the correction out.
    """
    logits_BC = users_BD @ candidates_CD.T / temperature
    positive_B = torch.arange(len(users_BD), device=users_BD.device)
    is_positive_BC = torch.zeros_like(logits_BC, dtype=torch.bool)
    is_positive_BC[positive_B, positive_B] = True
    if log_q_C is not None:
        logits_BC = torch.where(is_positive_BC, logits_BC, logits_BC - _log_expected_count(log_q_C))
    if mask_accidental_hits:
        same_BC = candidate_ids_C[positive_B, None] == candidate_ids_C[None, :]
        logits_BC = logits_BC.masked_fill(same_BC & ~is_positive_BC, -torch.inf)
    return functional.cross_entropy(logits_BC, positive_B)


def sampled_softmax_of_sets(
    users_GD: Tensor,
    candidates_CD: Tensor,
    user_B: Tensor,
    known_GC: Tensor,
    *,
    temperature: float,
    log_q_C: Tensor | None = None,
) -> Tensor:
    """`sampled_softmax` of users with several positives each, at the price of one example a user.

    What a user has is no negative of theirs, be it the example's own positive or another; so the sum over negatives is
    the same for all examples of a user, and one row of logits serves them all. Where every user has one example and
    `known_GC` are its accidental hits, this is `sampled_softmax` itself.

    Args:
        user_B: which of the G users example i, whose positive is candidate i, belongs to.
        known_GC: whether the user has the candidate; the own positives at least.
        log_q_C: log of every candidate's sampling probability; None leaves the correction out.
    """
    logits_GC = users_GD @ candidates_CD.T / temperature
    positive_B = logits_GC[user_B, torch.arange(len(user_B), device=user_B.device)]
    negatives_GC = logits_GC if log_q_C is None else logits_GC - _log_expected_count(log_q_C)
    # Not -inf: its gradient is NaN for a user who has all candidates.
    negatives_GC = negatives_GC.masked_fill(known_GC, torch.finfo(negatives_GC.dtype).min)
    total_G = torch.logsumexp(negatives_GC, dim=1)
    return (torch.logaddexp(positive_B, total_G[user_B]) - positive_B).mean()


def _log_expected_count(log_q_C: Tensor) -> Tensor:
    """How often each candidate is expected among the C - 1 negatives of an example, as a log."""
    return log_q_C + math.log(max(len(log_q_C) - 1, 1))


def mixed_log_q(frequency_C: Tensor, num_in_batch: int, num_uniform: int, num_items: int) -> Tensor:
    """Log probability that a candidate slot holds an item, for slots filled by both samplers.

    `num_in_batch` slots follow the examples' item frequency and `num_uniform` slots the uniform distribution over
    the catalogue (mixed negative sampling, Yang et al. 2020, section 3.3).

    Args:
        frequency_C: share of the training examples whose positive is the item, in [0, 1].
        num_items: size of the catalogue that uniform negatives come from.
    """
    num_slots = num_in_batch + num_uniform
    return torch.log((num_in_batch * frequency_C + num_uniform / num_items) / num_slots)
