"""The epoch loop against hand-made models whose every step is known."""

import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from expectations.errors import Failure, UserError
from models.config import FitConfig
from models.fit import Epoch, choose_device, fit, initialise, load_weights, save_weights

LINEAR = torch.tensor([[1.0, -2.0, 0.5]])


def network(seed: int = 0) -> nn.Module:
    return initialise(nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1)), seed)


def batches(epoch: int, num: int = 20):
    generator = torch.Generator().manual_seed(epoch)
    for _ in range(num):
        x = torch.randn(32, 3, generator=generator)
        yield {"x": x, "y": x @ LINEAR.T}


def squared_error(model, batch):
    return ((model(batch["x"]) - batch["y"]) ** 2).mean()


class Scalar(nn.Module):
    """One weight, so that steps can be followed."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([value]))


def slope(model, batch):
    """A loss whose gradient is `batch["slope"]`."""
    return (model.weight * batch["slope"]).sum()


def slopes(*values):
    return lambda epoch: [{"slope": torch.tensor([value])} for value in values]


def weights_of(model) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def test_learns_a_linear_function():
    model = network()
    fit(model, batches, squared_error, FitConfig(learning_rate=1e-2, max_epochs=20))
    x = torch.eye(3)
    assert torch.allclose(model(x), x @ LINEAR.T, atol=0.2)


def test_same_seed_gives_bitwise_the_same_weights_and_another_seed_does_not():
    runs = []
    for seed in (0, 0, 1):
        model = network(seed)
        fit(model, batches, squared_error, FitConfig(max_epochs=2))
        runs.append(torch.cat([p.flatten() for p in weights_of(model)]))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_trainings_side_by_side_do_not_disturb_each_other():
    def train(into):
        model = network()
        fit(model, batches, squared_error, FitConfig(max_epochs=3))
        into.append(torch.cat([p.flatten() for p in weights_of(model)]))

    alone: list[torch.Tensor] = []
    together: list[torch.Tensor] = []
    train(alone)
    threads = [threading.Thread(target=train, args=(together,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(alone[0], other) for other in together) and len(together) == 2


def test_draws_nothing_from_the_global_generator():
    model = network()
    before = torch.random.get_rng_state()
    fit(model, batches, squared_error, FitConfig(max_epochs=1))
    assert torch.equal(before, torch.random.get_rng_state())


def test_early_stopping_restores_the_weights_of_the_best_epoch():
    metrics = iter([0.1, 0.5, 0.4, 0.3, 0.9])
    after_epoch: list[list[torch.Tensor]] = []

    def validate(model):
        after_epoch.append(weights_of(model))
        return next(metrics)

    model = network()
    log = fit(model, batches, squared_error, FitConfig(max_epochs=10, patience=2), validate=validate)
    assert (log.best_epoch, len(log.epochs), log.best_metric) == (2, 4, 0.5)
    assert all(torch.equal(a, b) for a, b in zip(weights_of(model), after_epoch[1], strict=True))
    assert not torch.equal(after_epoch[1][0], after_epoch[3][0])
    assert not model.training


def test_patience_counts_epochs_without_a_better_metric():
    def scripted():
        metrics = iter([0.5, 0.5, 0.4, 0.4, 0.6, 0.6, 0.6, 0.6])
        return lambda model: next(metrics)

    for patience, expected in ((1, 2), (3, 4)):
        log = fit(network(), batches, squared_error, FitConfig(patience=patience, max_epochs=8), validate=scripted())
        assert len(log.epochs) == expected


def test_without_validation_all_epochs_run_and_the_last_weights_stay():
    log = fit(network(), lambda epoch: batches(epoch, 3), squared_error, FitConfig(max_epochs=4))
    assert (len(log.epochs), log.best_epoch, log.best_metric) == (4, 4, None)
    assert [e.steps for e in log.epochs] == [3, 3, 3, 3]


def test_the_log_has_the_mean_loss_of_an_epoch():
    log = fit(Scalar(2.0), slopes(1.0, 3.0), slope, FitConfig(learning_rate=1e-9, max_epochs=1))
    (only,) = log.epochs
    assert only == Epoch(epoch=1, steps=2, loss=only.loss, metric=None) and only.loss == pytest.approx(4.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_training_and_says_where(bad):
    def loss(model, batch):
        return slope(model, batch) + batch["slope"].sum() * 0

    with pytest.raises(Failure, match=r"the loss became (nan|inf) in epoch 1, step 3"):
        fit(Scalar(1.0), slopes(1.0, 1.0, bad, 1.0), loss, FitConfig())


def test_a_gradient_that_is_not_finite_stops_training():
    def root(model, batch):
        return (model.weight - model.weight.detach()).abs().sqrt().sum()

    with pytest.raises(Failure, match="gradient norm became nan in epoch 1, step 1"):
        fit(Scalar(1.0), slopes(1.0), root, FitConfig(max_gradient_norm=1.0))


def test_a_metric_that_is_not_finite_stops_training():
    with pytest.raises(Failure, match="validation metric became nan in epoch 1"):
        fit(Scalar(), slopes(1.0), slope, FitConfig(), validate=lambda model: float("nan"))


def test_no_examples_are_refused():
    with pytest.raises(Failure, match="no batches in epoch 1"):
        fit(Scalar(), slopes(), slope, FitConfig())


def test_learning_rate_falls_linearly_to_its_final_share():
    seen = []

    def validate(model):
        seen.append(model.weight.item())
        return len(seen)

    config = FitConfig(learning_rate=0.1, final_learning_rate_share=0.2, max_epochs=3)
    fit(Scalar(), slopes(1.0), slope, config, validate=validate)
    # With a constant gradient a step of Adam is the learning rate: .1, .06, .02.
    assert seen == pytest.approx([-0.1, -0.16, -0.18], abs=1e-6)


def test_weight_decay_shrinks_weights_that_nothing_pulls_at():
    model = Scalar(1.0)
    fit(model, slopes(0.0), slope, FitConfig(learning_rate=0.1, weight_decay=0.5, max_epochs=2))
    assert model.weight.item() == pytest.approx((1 - 0.1 * 0.5) ** 2)


def test_clipping_makes_an_outlier_as_any_other():
    def trained(config, *values):
        model = Scalar()
        fit(model, slopes(*values), slope, config)
        return model.weight.item()

    clipped = FitConfig(max_gradient_norm=1.0, max_epochs=1)
    free = FitConfig(max_epochs=1)
    assert trained(clipped, 1.0, -1000.0, 1.0) == pytest.approx(trained(free, 1.0, -1.0, 1.0), rel=1e-4)
    assert trained(free, 1.0, -1000.0, 1.0) != pytest.approx(trained(free, 1.0, -1.0, 1.0), rel=0.1)


def test_threads_are_pinned_while_training_and_given_back():
    before = torch.get_num_threads()
    seen = []

    def loss(model, batch):
        seen.append(torch.get_num_threads())
        return slope(model, batch)

    fit(Scalar(), slopes(1.0), loss, FitConfig(threads=before + 1, max_epochs=1))
    assert seen == [before + 1] and torch.get_num_threads() == before


def test_progress_tells_epochs():
    told = []
    fit(Scalar(), slopes(1.0), slope, FitConfig(max_epochs=2), on_progress=lambda *what: told.append(what))
    assert [(done, total) for done, total, _ in told] == [(1, 2), (2, 2)] and "loss" in told[0][2]


def test_initialise_zeroes_padding_and_keeps_linear_layers_in_bounds():
    embedding, linear = nn.Embedding(50, 8, padding_idx=0), nn.Linear(16, 4)
    initialise(nn.ModuleList([embedding, linear]), seed=3)
    table, layer = embedding.weight, linear.weight
    assert not table[0].any() and table[1:].std().item() == pytest.approx(0.05, rel=0.2)
    assert layer.abs().max() <= 0.25 and layer.abs().max() > 0.2


def test_weights_come_back_and_their_bytes_follow_from_their_values(tmp_path: Path):
    model = network(1)
    save_weights(model, tmp_path / "a.safetensors")
    save_weights(network(1), tmp_path / "b.safetensors")
    other = network(2)
    load_weights(other, tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert all(torch.equal(a, b) for a, b in zip(weights_of(model), weights_of(other), strict=True))


def test_the_log_is_saved_as_json(tmp_path: Path):
    log = fit(Scalar(), slopes(1.0), slope, FitConfig(max_epochs=1))
    log.save(tmp_path / "training_log.json")
    assert '"best_epoch": 1' in (tmp_path / "training_log.json").read_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_devices_without_cuda():
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match=r"resources\.device is cuda"):
        choose_device("cuda")
