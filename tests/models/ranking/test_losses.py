import numpy as np
import pytest
import torch

from models.ranking.losses import click_loss, completion_loss, watch_time_loss


def _best_logits(group: torch.Tensor, watch: torch.Tensor, click: torch.Tensor, exact: bool) -> torch.Tensor:
    """The logit a group that minimises the loss: full-batch Newton-like search in double precision."""
    logits = torch.zeros(int(group.max()) + 1, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        search.zero_grad()
        loss = watch_time_loss(logits[group], watch, click, exact=exact).mean()
        loss.backward()
        return loss

    search.step(closure)
    return logits.detach()


@pytest.mark.parametrize("exact", [True, False])
def test_odds_are_the_expected_watch_time(exact: bool) -> None:
    rng = np.random.default_rng(1)
    group = rng.integers(0, 3, 3000)
    click = (rng.random(3000) < np.array([0.1, 0.4, 0.8])[group]).astype(float)
    watch = click * rng.exponential(np.array([3.0, 0.5, 7.0])[group])
    groups, watches, clicks = (torch.from_numpy(a) for a in (group, watch, click))
    odds = _best_logits(groups, watches, clicks, exact=exact).exp().numpy()
    total = np.bincount(group, weights=watch)
    # Covington et al. 2016: sum of T over impressions without a watch; exact: over all impressions.
    impressions = np.bincount(group) if exact else np.bincount(group, weights=1 - click)
    assert odds == pytest.approx(total / impressions, rel=1e-4)


def test_click_loss_is_minus_log_likelihood() -> None:
    logits = torch.tensor([-1.0, 0.5, 2.0])
    p = torch.sigmoid(logits)
    expected = torch.stack([-(1 - p[0]).log(), -p[1].log(), -p[2].log()])
    assert torch.allclose(click_loss(logits, torch.tensor([0.0, 1.0, 1.0])), expected)


def test_completion_that_is_not_known_teaches_nothing() -> None:
    logits = torch.tensor([0.3, 0.3, 0.3], requires_grad=True)
    loss = completion_loss(logits, torch.tensor([1.0, float("nan"), 0.0]))
    loss.sum().backward()
    assert loss[1] == 0 and logits.grad is not None and logits.grad[1] == 0
    assert loss[0] > 0 and loss[2] > loss[0]
    assert torch.isfinite(logits.grad).all()
