"""The sampled softmax against hand-computed values, and its correction against known probabilities."""

import math

import numpy as np
import pytest
import torch

from models.losses import mixed_log_q, sampled_softmax, sampled_softmax_of_sets

NUM_ITEMS, NUM_KINDS = 12, 3


def test_value_by_hand():
    users = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    candidates = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    loss = sampled_softmax(users, candidates, torch.tensor([7, 8, 9]), temperature=0.5)
    first = -2.0 + math.log(math.exp(2.0) + math.exp(1.2) + math.exp(0.0))
    second = -1.6 + math.log(math.exp(0.0) + math.exp(1.6) + math.exp(2.0))
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-6)


def test_temperature_divides_the_scores():
    users, candidates, ids = torch.eye(2), torch.eye(2), torch.tensor([0, 1])
    for temperature in (0.1, 1.0):
        loss = sampled_softmax(users, candidates, ids, temperature=temperature)
        assert loss.item() == pytest.approx(math.log1p(math.exp(-1 / temperature)), rel=1e-3)


def test_gradient_pulls_the_positive_and_pushes_the_negatives_by_their_probability():
    users = torch.tensor([[1.0, 0.0]])
    candidates = torch.tensor([[0.5, 0.1], [0.2, 0.3], [0.1, 0.9]], requires_grad=True)
    sampled_softmax(users, candidates, torch.tensor([0, 1, 2]), temperature=1.0).backward()
    probability = torch.softmax(candidates.detach() @ users[0], dim=0)
    expected = (probability - torch.tensor([1.0, 0.0, 0.0]))[:, None] * users
    assert candidates.grad is not None and torch.allclose(candidates.grad, expected, atol=1e-6)


def test_accidental_hits_are_no_negatives():
    """Both examples have item 7 as positive, and the uniform negative is item 7 too: nothing is left to lose."""
    users = torch.eye(2)
    candidates = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    ids = torch.tensor([7, 7, 7])
    assert sampled_softmax(users, candidates, ids, temperature=1.0).item() == pytest.approx(0.0, abs=1e-6)
    unmasked = sampled_softmax(users, candidates, ids, temperature=1.0, mask_accidental_hits=False)
    assert unmasked.item() == pytest.approx(math.log(3), rel=1e-6)


def test_a_negative_counts_by_how_often_it_is_drawn_and_the_positive_once():
    """Three candidates make two negatives: item j is among them 2 Q times on average."""
    candidates, ids = torch.tensor([[1.0], [0.5], [0.2]]), torch.tensor([0, 1, 2])
    log_q = torch.log(torch.tensor([0.6, 0.3, 0.1]))
    loss = sampled_softmax(torch.tensor([[1.0]]), candidates, ids, temperature=1.0, log_q_C=log_q)
    negatives = math.exp(0.5) / (2 * 0.3) + math.exp(0.2) / (2 * 0.1)
    assert loss.item() == pytest.approx(-math.log(math.e / (math.e + negatives)), rel=1e-5)


def test_mixed_log_q_is_the_frequency_with_which_both_samplers_draw_an_item():
    rng = np.random.default_rng(0)
    frequency = rng.dirichlet(np.ones(NUM_ITEMS))
    in_batch = rng.choice(NUM_ITEMS, (20_000, 8), p=frequency)
    uniform = rng.integers(0, NUM_ITEMS, (20_000, 4))
    drawn = np.bincount(np.concatenate([in_batch, uniform], axis=1).ravel(), minlength=NUM_ITEMS) / (20_000 * 12)
    predicted = mixed_log_q(torch.from_numpy(frequency), 8, 4, NUM_ITEMS).exp().numpy()
    assert np.allclose(drawn, predicted, rtol=0.05)
    assert np.allclose(mixed_log_q(torch.from_numpy(frequency), 8, 0, NUM_ITEMS).exp().numpy(), frequency)


def choices() -> np.ndarray:
    """`[kinds of user, items]` probabilities: a few items are popular with everybody, tastes do the rest."""
    rng = np.random.default_rng(1)
    appeal = -1.2 * np.log(np.arange(1, NUM_ITEMS + 1))
    logits = appeal + rng.normal(size=(NUM_KINDS, NUM_ITEMS))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def learned(probability: np.ndarray, correct: bool, mask: bool = True, num_uniform: int = 0) -> np.ndarray:
    """Free logits of every kind and item, learned from sampled batches; as the choice probabilities they mean."""
    rng = np.random.default_rng(2)
    frequency = torch.from_numpy(probability.mean(axis=0)).float()
    logits = torch.zeros(NUM_ITEMS, NUM_KINDS, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.05)
    for step in range(600):
        optimiser.param_groups[0]["lr"] = 0.05 * (1 - step / 600)
        kinds = rng.integers(0, NUM_KINDS, 64)
        positives = [rng.choice(NUM_ITEMS, p=probability[kind]) for kind in kinds]
        items = torch.from_numpy(np.concatenate([positives, rng.integers(0, NUM_ITEMS, num_uniform)]).astype(int))
        log_q = mixed_log_q(frequency[items], 64, num_uniform, NUM_ITEMS) if correct else None
        users = torch.eye(NUM_KINDS)[kinds]
        loss = sampled_softmax(
            users, logits[items], items, temperature=1.0, log_q_C=log_q, mask_accidental_hits=mask
        )  # fmt: skip
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return torch.softmax(logits.detach().T, dim=1).numpy()


def divergence(truth: np.ndarray, model: np.ndarray) -> float:
    return float((truth * np.log(truth / model)).sum(axis=1).mean())


@pytest.mark.parametrize("num_uniform", [0, 64])
def test_the_correction_recovers_the_choice_probabilities(num_uniform):
    """Without it the learned scores are relative to popularity, and popular items come out too low."""
    truth = choices()
    corrected, raw = (learned(truth, correct, num_uniform=num_uniform) for correct in (True, False))
    assert divergence(truth, corrected) < 0.002
    assert divergence(truth, raw) > 10 * divergence(truth, corrected)
    popular = truth.mean(axis=0).argmax()
    assert raw[:, popular].mean() < 0.95 * truth[:, popular].mean()


def test_accidental_hits_bias_what_is_learned():
    truth = choices()
    assert divergence(truth, learned(truth, correct=True, mask=False)) > 0.003


def test_sets_of_one_are_the_plain_softmax():
    rng = torch.Generator().manual_seed(0)
    users, candidates = torch.randn(6, 3, generator=rng), torch.randn(9, 3, generator=rng)
    ids = torch.tensor([0, 1, 0, 2, 3, 4, 1, 5, 6])
    log_q = torch.log_softmax(torch.randn(9, generator=rng), dim=0)
    known = ids[:6, None] == ids[None, :]
    for correction in (None, log_q):
        plain = sampled_softmax(users, candidates, ids, temperature=0.3, log_q_C=correction)
        sets = sampled_softmax_of_sets(
            users, candidates, torch.arange(6), known, temperature=0.3, log_q_C=correction
        )  # fmt: skip
        assert sets.item() == pytest.approx(plain.item(), rel=1e-5)


def test_nothing_that_a_user_has_is_a_negative_of_theirs():
    """One user with two of three candidates: each stands against the third alone."""
    users, candidates = torch.tensor([[1.0]]), torch.tensor([[0.9], [0.5], [0.2]])
    known = torch.tensor([[True, True, False]])
    loss = sampled_softmax_of_sets(users, candidates, torch.tensor([0, 0]), known, temperature=1.0)
    expected = (math.log1p(math.exp(0.2 - 0.9)) + math.log1p(math.exp(0.2 - 0.5))) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_who_has_everything_teaches_nothing():
    users = torch.ones(1, 2, requires_grad=True)
    loss = sampled_softmax_of_sets(
        users, torch.ones(2, 2), torch.tensor([0, 0]), torch.ones(1, 2, dtype=torch.bool), temperature=0.1
    )  # fmt: skip
    loss.backward()
    assert loss.item() == 0 and users.grad is not None and torch.equal(users.grad, torch.zeros(1, 2))
