"""The sampled softmax of the towers, and the probabilities that its correction needs.

Shapes: B examples of a batch, C candidates (the B positives of the batch first, then uniform negatives), D dimensions.
"""

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
    """Mean cross-entropy of finding example i's positive, candidate i, among all candidates.

    Every other candidate is a negative: in-batch negatives, and whatever stands after them. A candidate drawn with
    probability Q appears as a negative Q-proportionally often, which punishes popular items for being popular;
    subtracting log Q from its logit undoes that (logQ correction, Yi et al. 2019, section 3). A negative that happens
    to be the example's own positive is an accidental hit and no negative at all.

    Args:
        candidate_ids_C: which candidates are the same item.
        temperature: divides the scores, which are cosines when the vectors have unit length.
        log_q_C: log of every candidate's sampling probability; None leaves the correction out.
    """
    logits_BC = users_BD @ candidates_CD.T / temperature
    if log_q_C is not None:
        logits_BC = logits_BC - log_q_C
    positive_B = torch.arange(len(users_BD), device=users_BD.device)
    if mask_accidental_hits:
        hit_BC = candidate_ids_C[positive_B, None] == candidate_ids_C[None, :]
        hit_BC[positive_B, positive_B] = False
        logits_BC = logits_BC.masked_fill(hit_BC, -torch.inf)
    return functional.cross_entropy(logits_BC, positive_B)


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
