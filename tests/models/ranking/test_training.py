from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from expectations.errors import Failure
from models.config import FitConfig
from models.ranking.config import RankerConfig
from models.ranking.examples import Examples
from models.ranking.network import CLICK, COMPLETION, WATCH
from models.ranking.training import TrainedRanker, measure, predict, train

Make = Callable[..., Examples]
Quick = Callable[..., RankerConfig]
Names = Callable[[int], tuple[str, ...]]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _no_rows(examples: Examples) -> Examples:
    return Examples(examples.rows.take(np.arange(0)), examples.features[:0])


@pytest.fixture(scope="module")
def planted() -> dict[str, np.ndarray]:
    """Chances, seconds and completion that follow from the first three of four columns."""
    rng = np.random.default_rng(5)
    content = rng.normal(size=(30_000, 4))
    chance = _sigmoid(content[:, 0] - 1.5)
    click = rng.random(30_000) < chance
    mean_s = 200 * np.exp(0.6 * content[:, 1])
    completing = _sigmoid(2 * content[:, 2])
    return {
        "content": content,
        "chance": chance,
        "click": click,
        "expected_s": chance * mean_s,
        "watch_s": click * rng.exponential(mean_s),
        "completing": completing,
        "completed": np.where(click, rng.random(30_000) < completing, np.nan),
    }


def _train_planted(planted: dict[str, np.ndarray], make: Make, names: Names, config: RankerConfig) -> np.ndarray:
    labels = {name: planted[name] for name in ("watch_s", "completed")}
    examples = make(planted["content"], planted["click"], **labels)
    trained = train(examples, _no_rows(examples), names(4), config)
    return predict(trained.model, examples.features)


@pytest.mark.parametrize("num_experts", [1, 3])
def test_all_three_heads_recover_what_was_planted(
    planted: dict[str, np.ndarray], make_examples: Make, names: Names, quick: Quick, num_experts: int
) -> None:
    predicted = _train_planted(planted, make_examples, names, quick(num_experts=num_experts))
    assert np.abs(predicted[CLICK] - planted["chance"]).mean() < 0.02
    assert predicted[WATCH].sum() / planted["expected_s"].sum() == pytest.approx(1, abs=0.06)
    assert spearmanr(predicted[WATCH], planted["expected_s"]).statistic > 0.95
    assert np.abs(predicted[COMPLETION] - planted["completing"]).mean() < 0.08


@pytest.mark.parametrize(("odds", "expected"), [("exact", 40.0), ("paper", 40.0 / 0.6)])
def test_paper_odds_are_larger_by_one_minus_the_click_rate(
    make_examples: Make, names: Names, quick: Quick, odds: str, expected: float
) -> None:
    """Two of five impressions are watched, for 100 s each."""
    examples = make_examples(np.ones((5000, 1)), np.arange(5000) % 5 < 2)
    model = train(examples, _no_rows(examples), names(1), quick(watch_odds=odds)).model
    assert predict(model, examples.features)[WATCH, 0] == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(("head", "name"), [(CLICK, "click"), (WATCH, "watch"), (COMPLETION, "completion")])
def test_a_task_without_weight_stays_at_its_base_rate(
    planted: dict[str, np.ndarray], make_examples: Make, names: Names, quick: Quick, head: int, name: str
) -> None:
    predicted = _train_planted(planted, make_examples, names, quick(epochs=1, **{f"{name}_weight": 0.0}))
    others = [other for other in (CLICK, WATCH, COMPLETION) if other != head]
    assert np.ptp(predicted[head]) == 0 and (np.ptp(predicted[others], axis=1) > 0.1).all()


def test_completion_that_nobody_knows_is_a_half(make_examples: Make, names: Names, quick: Quick) -> None:
    rng = np.random.default_rng(0)
    examples = make_examples(rng.normal(size=(2000, 2)), rng.random(2000) < 0.3)
    trained = train(examples, examples, names(2), quick(epochs=1))
    assert set(predict(trained.model, examples.features)[COMPLETION]) == {0.5}
    assert "completion_auc" not in trained.quality


def _biased(sorted_by: int) -> dict[str, np.ndarray]:
    """An old policy puts high values of one column first, and first places are clicked more; only x0 is relevant."""
    rng = np.random.default_rng(2)
    content = rng.normal(size=(40_000, 2))
    by_policy = (content[:, sorted_by] + 0.3 * rng.normal(size=40_000)).reshape(-1, 10)
    position = (np.argsort(np.argsort(-by_policy, axis=1), axis=1) + 1).ravel()
    logit = content[:, 0] - 0.4 * (position - 1)
    return {"content": content, "position": position, "click": rng.random(40_000) < _sigmoid(logit)}


@pytest.fixture(scope="module")
def biased() -> dict[str, np.ndarray]:
    return _biased(sorted_by=1)


def _served(biased: dict[str, np.ndarray], make: Make, names: Names, config: RankerConfig) -> np.ndarray:
    examples = make(biased["content"], biased["click"], position=biased["position"])
    trained = train(examples, _no_rows(examples), names(2), config)
    nowhere = make(biased["content"], biased["click"])
    return predict(trained.model, nowhere.features)


def test_position_bias_is_left_out_when_serving(
    biased: dict[str, np.ndarray], make_examples: Make, names: Names, quick: Quick
) -> None:
    fair = _served(biased, make_examples, names, quick())
    naive = _served(biased, make_examples, names, quick(position_bias=False))
    relevance = biased["content"][:, 0]
    for head in (CLICK, WATCH):
        assert spearmanr(fair[head], relevance).statistic > 0.97
        assert spearmanr(naive[head], relevance).statistic < 0.8


def test_a_policy_that_sorted_by_relevance_does_not_hide_it(make_examples: Make, names: Names, quick: Quick) -> None:
    """Place and relevance go together in the log; what each owes to the other must still come apart."""
    logged = _biased(sorted_by=0)
    chance = _served(logged, make_examples, names, quick())[CLICK]
    slope = np.polyfit(logged["content"][:, 0], np.log(chance / (1 - chance)), 1)[0]
    assert slope == pytest.approx(1, abs=0.2)
    naive = _served(logged, make_examples, names, quick(position_bias=False))[CLICK]
    assert np.polyfit(logged["content"][:, 0], np.log(naive / (1 - naive)), 1)[0] > 1.5


def test_quality_is_measured_as_served(
    biased: dict[str, np.ndarray], make_examples: Make, names: Names, quick: Quick
) -> None:
    """What the place owes to the policy must not count as quality, but calibration is about what happened there."""
    examples = make_examples(biased["content"], biased["click"], position=biased["position"])
    trained = train(examples, examples, names(2), quick())
    elsewhere = make_examples(biased["content"], biased["click"], position=biased["position"][::-1])
    figures, moved = trained.quality, measure(trained.model, elsewhere)
    assert figures["click_auc"] == moved["click_auc"]
    assert figures["watch_calibration"] == pytest.approx(1, abs=0.05)
    assert set(figures) == {"click_auc", "click_gauc", "watch_gauc", "watch_calibration"}


def test_inverse_propensity_weights_undo_the_logging_policy(make_examples: Make, names: Names, quick: Quick) -> None:
    """Nothing tells the two kinds of items apart; one is shown nine times as often and clicked five times as often."""
    rng = np.random.default_rng(3)
    favoured = rng.random(20_000) < 0.9
    click = rng.random(20_000) < np.where(favoured, 0.5, 0.1)
    content = np.ones((20_000, 1))
    weight = 1 / np.where(favoured, 0.9, 0.1)
    weighted = make_examples(content, click, weight=weight)
    plain = make_examples(content, click)
    fair, naive = (train(e, _no_rows(e), names(1), quick()).model for e in (weighted, plain))
    assert predict(fair, plain.features)[CLICK, 0] == pytest.approx(0.3, abs=0.02)
    assert predict(naive, plain.features)[CLICK, 0] == pytest.approx(0.46, abs=0.02)
    assert predict(fair, plain.features)[WATCH, 0] == pytest.approx(30, rel=0.07)


def _same_weights(one: TrainedRanker, other: TrainedRanker) -> bool:
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("num_experts", [1, 2])
def test_training_repeats_to_the_bit(make_examples: Make, names: Names, quick: Quick, num_experts: int) -> None:
    rng = np.random.default_rng(0)
    examples = make_examples(rng.normal(size=(3000, 3)), rng.random(3000) < 0.3, position=rng.integers(1, 9, 3000))
    config = quick(epochs=2, num_experts=num_experts)
    first, again = (train(examples, examples, names(3), config) for _ in range(2))
    assert _same_weights(first, again) and first.log == again.log
    other = train(examples, examples, names(3), quick(epochs=2, num_experts=num_experts, seed=1))
    assert not _same_weights(first, other)


def test_stops_early_on_the_held_out_rows(make_examples: Make, names: Names, quick: Quick) -> None:
    """Held-out labels are the opposite of the training ones, so every epoch makes it worse."""
    rng = np.random.default_rng(0)
    content = rng.normal(size=(4000, 1))
    training = make_examples(content, content[:, 0] > 0)
    held_out = make_examples(content, content[:, 0] <= 0)
    log = train(training, held_out, names(1), quick(epochs=4)).log
    assert log.best_epoch == 1 and len(log.epochs) == 3


def test_nan_stops_loudly(make_examples: Make, names: Names, quick: Quick) -> None:
    click = np.arange(600) % 2
    examples = make_examples(np.ones((600, 2)), click, watch_s=np.where(np.arange(600) == 7, np.nan, click))
    with pytest.raises(Failure, match="nan"):
        train(examples, examples, names(2), quick())


def test_values_hidden_in_training_still_count_when_serving(make_examples: Make, names: Names, quick: Quick) -> None:
    """A score that repeats the answers on most training rows, and is worth less on those where it is honest."""
    rng = np.random.default_rng(4)
    relevance, noise = rng.normal(size=(2, 20_000))
    click = rng.random(20_000) < _sigmoid(2 * relevance - 1)
    leaked = np.arange(20_000) < 15_000
    score = np.where(leaked, 2.0 * click - 1, 0.3 * relevance + noise)
    content = np.column_stack([score, relevance + 0.5 * rng.normal(size=20_000)])
    later = np.flatnonzero(~leaked)[2500:]
    held_out = make_examples(content[later], click[later])
    gauc = {}
    for name, shown in (("leaked", score), ("hidden", np.where(leaked, np.nan, score))):
        training = make_examples(np.column_stack([shown, content[:, 1]])[:17_500], click[:17_500])
        gauc[name] = train(training, held_out, names(2), quick()).quality["click_gauc"]
    assert gauc["hidden"] > gauc["leaked"] + 0.05


def test_nothing_watched_is_refused(make_examples: Make, names: Names, quick: Quick) -> None:
    examples = make_examples(np.ones((600, 2)), np.zeros(600))
    with pytest.raises(Failure, match="none of its 600 training rows was watched"):
        train(examples, examples, names(2), quick())


def test_a_faster_learning_rate_is_another_model(make_examples: Make, names: Names) -> None:
    rng = np.random.default_rng(0)
    examples = make_examples(rng.normal(size=(1000, 2)), rng.random(1000) < 0.3)
    slow, fast = (
        train(examples, examples, names(2), RankerConfig(fit=FitConfig(learning_rate=rate, max_epochs=1)))
        for rate in (1e-4, 1e-2)
    )
    assert not _same_weights(slow, fast)
