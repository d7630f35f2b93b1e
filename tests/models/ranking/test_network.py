import numpy as np
import pytest
import torch
from torch import nn

from models.fit import initialise
from models.ranking.network import CLICK, CLIP, WATCH, Ranker, ServedRanker, Shape, learn_normalisation


def _ranker(features: np.ndarray, **shape: object) -> Ranker:
    options = {"hidden": (8,), "position": features.shape[1] - 1, **shape}
    model = Ranker(Shape(num_features=features.shape[1], **options))
    initialise(model, 0)
    model.prepare(features, np.zeros(3), np.zeros((model.shape.max_position, 3)))
    for head in model.heads:
        assert isinstance(head, nn.Linear)
        torch.nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(1))
    return model.eval()


def test_heavy_tails_are_logged_and_others_left() -> None:
    rng = np.random.default_rng(0)
    counts, plain = rng.lognormal(3, 2, 5000), rng.normal(5, 2, 5000)
    assert learn_normalisation(counts) == pytest.approx((1.0, np.log1p(counts).mean(), 1 / np.log1p(counts).std()))
    assert learn_normalisation(plain) == pytest.approx((0.0, plain.mean(), 1 / plain.std()))
    assert learn_normalisation(-counts)[0] == 0.0, "what can be negative has no logarithm"


def test_normalisation_is_inside_the_graph() -> None:
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.lognormal(3, 2, 2000), rng.normal(5, 2, 2000), np.ones(2000)]).astype(np.float32)
    model = _ranker(features)
    inputs = model._normalised(torch.from_numpy(features)).numpy()
    assert inputs.shape == (2000, 2)
    assert inputs.mean(axis=0) == pytest.approx([0, 0], abs=1e-3)
    assert inputs.std(axis=0) == pytest.approx([1, 1], abs=1e-2)
    outlier = torch.tensor([[1e30, -1e30, 1.0]])
    assert model._normalised(outlier).tolist() == [[CLIP, -CLIP]]


def test_a_column_that_never_varied_is_ignored() -> None:
    features = np.ones((100, 3), dtype=np.float32)
    features[:, 1] = np.nan
    model = _ranker(features)
    assert model._normalised(torch.tensor([[1.5, 7.0, 1.0]])).tolist() == [[0.0, 0.0]]


def test_hidden_values_are_left_out_of_the_mean_and_filled_with_it() -> None:
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.lognormal(3, 2, 2000), rng.normal(5, 2, 2000), np.ones(2000)]).astype(np.float32)
    hidden = features.copy()
    hidden[::3, :2] = np.nan
    known = np.delete(features, np.s_[::3], axis=0)
    model = _ranker(hidden)
    assert model.mean_C.tolist() == pytest.approx([np.log1p(known[:, 0]).mean(), known[:, 1].mean()], rel=1e-5)
    assert model._normalised(torch.from_numpy(model.typical())[None]).tolist() == [pytest.approx([0, 0], abs=1e-5)]


def test_place_shifts_every_item_alike() -> None:
    features = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    features[:, -1] = np.tile([1, 3], 20)
    model = _ranker(features, max_position=6)
    features[:, -1] = 1
    with torch.no_grad():
        model.position_bias_PT.copy_(torch.arange(18.0).reshape(6, 3))
        first = model(torch.from_numpy(features))
        features[:, -1] = 3
        third = model(torch.from_numpy(features))
        features[:, -1] = 99
        last = model(torch.from_numpy(features))
        features[:, -1] = 0
        nowhere = model(torch.from_numpy(features))
    assert torch.allclose(third - first, torch.tensor([6.0, 6.0, 6.0]), atol=1e-5)
    assert torch.allclose(last - first, torch.tensor([15.0, 15.0, 15.0]), atol=1e-5), "places below share a bias"
    assert torch.allclose(nowhere, (first + third) / 2, atol=1e-5), "0 is the mean of the places seen in training"


def test_without_position_bias_the_place_is_not_seen_at_all() -> None:
    features = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    model = _ranker(features, position_bias=False)
    moved = features.copy()
    moved[:, -1] += 3
    with torch.no_grad():
        assert torch.equal(model(torch.from_numpy(features)), model(torch.from_numpy(moved)))


def test_experts_are_mixed_by_a_gate_a_task() -> None:
    """Mixture of two experts against its formula (Ma et al. 2018, equation 6)."""
    features = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    model = _ranker(features, num_experts=2)
    with torch.no_grad():
        logits = model(torch.from_numpy(features))
        x = model._normalised(torch.from_numpy(features))
        outputs = [expert(x) for expert in model.experts]
        for task, (gate, head) in enumerate(zip(model.gates, model.heads, strict=True)):
            share = torch.exp(gate(x)) / torch.exp(gate(x)).sum(dim=1, keepdim=True)
            mixed = share[:, :1] * outputs[0] + share[:, 1:] * outputs[1]
            assert torch.allclose(logits[:, task], head(mixed)[:, 0], atol=1e-5)


def test_serving_turns_logits_into_chances_and_seconds() -> None:
    features = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    model = _ranker(features)
    click, seconds, _ = ServedRanker(model, seconds_per_odds=60.0, max_watch_s=90.0)(torch.from_numpy(features))
    logits = model(torch.from_numpy(features))
    assert torch.allclose(click, 1 / (1 + torch.exp(-logits[:, CLICK])))
    assert torch.allclose(seconds, (60 * torch.exp(logits[:, WATCH])).clamp(max=90), rtol=1e-5)
    assert float(seconds.detach().max()) == pytest.approx(90), "no more is expected than can be watched"
