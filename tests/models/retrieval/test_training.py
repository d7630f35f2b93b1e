"""Training finds planted tastes, and each switch does what it is for."""

import datetime
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from expectations.errors import Failure
from models.config import FitConfig
from models.retrieval.catalogue import Encoded
from models.retrieval.config import TowersConfig
from models.retrieval.examples import Examples
from models.retrieval.towers import TwoTowers
from models.retrieval.training import TrainedTowers, Validation, train_towers

SMALL = TowersConfig(
    dim=16, hidden=32, batch_size=128, mixed_negatives=128, max_examples_per_user=100,
    fit=FitConfig(max_epochs=6, learning_rate=1e-2),
)  # fmt: skip


@pytest.fixture
def train(tmp_path):
    """Train on a planted audience with some settings changed."""

    def train(planted, config: TowersConfig = SMALL, **changes) -> TrainedTowers:
        scratch = tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}"
        scratch.mkdir()
        return train_towers(
            planted.watches, planted.users, planted.items, replace(config, **changes),
            last_day=planted.last_day, scratch=scratch,
        )  # fmt: skip

    return train


def scores(trained: TrainedTowers, planted) -> np.ndarray:
    """`[users, items]` of users without a history: their region alone tells their taste."""
    users = Encoded.of(planted.users, "user_id", trained.user_fields)
    items = Encoded.of(planted.items, "item_id", trained.item_fields)
    with torch.no_grad():
        inputs = trained.model.item_inputs(items.take(np.arange(1, len(items.ids) + 1)))
        no_history = torch.zeros(len(users.ids), 1, dtype=torch.long)
        vectors = trained.model.user_vectors(users.take(np.arange(1, len(users.ids) + 1)), no_history, inputs)
        return (vectors @ trained.model.item_vectors(inputs).T).numpy()


def top(scores: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(-scores, axis=1)[:, :k]


def share_of_taste(scores: np.ndarray, planted, k: int = 10) -> float:
    """Share of the best k items that have the genre which the user likes."""
    return float((planted.genre[top(scores, k)] == planted.taste[:, None]).mean())


def appeal_rank_correlation(scores: np.ndarray, planted) -> float:
    """Spearman correlation of an item's mean score with its appeal."""
    ranks, planted_ranks = (np.argsort(np.argsort(values)) for values in (scores.mean(axis=0), planted.appeal))
    return float(np.corrcoef(ranks, planted_ranks)[0, 1])


def same(one: TrainedTowers, other: TrainedTowers) -> bool:
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_planted_tastes_are_found(train, planted):
    """A region tells a taste with probability .7 + .3 / 8; chance is one genre in eight."""
    trained = train(planted)
    assert share_of_taste(scores(trained, planted), planted) > 0.35
    assert trained.log.best_metric is not None and trained.log.best_metric > 0.45
    popular = np.tile(planted.appeal, (len(planted.taste), 1))
    assert share_of_taste(popular, planted) < 0.2


def test_a_history_says_more_than_the_region(train, planted):
    trained = train(planted)
    users = Encoded.of(planted.users, "user_id", trained.user_fields)
    items = Encoded.of(planted.items, "item_id", trained.item_fields)
    rng = np.random.default_rng(0)
    liked = [rng.choice(np.flatnonzero(planted.genre == taste), 10) + 1 for taste in planted.taste]
    with torch.no_grad():
        inputs = trained.model.item_inputs(items.take(np.arange(1, len(items.ids) + 1)))
        vectors = trained.model.user_vectors(
            users.take(users.rows(users.ids)), torch.from_numpy(np.array(liked)), inputs
        )
        with_history = (vectors @ trained.model.item_vectors(inputs).T).numpy()
    assert share_of_taste(with_history, planted) > share_of_taste(scores(trained, planted), planted) + 0.1


def test_same_seed_bitwise_the_same_and_another_seed_not(train, planted):
    short = replace(SMALL, fit=replace(SMALL.fit, max_epochs=1))
    first, again, other = (train(planted, short, seed=seed) for seed in (3, 3, 4))
    assert same(first, again) and not same(first, other)


def test_logq_correction_keeps_popular_items_up(train, planted):
    """In-batch negatives are popular items; uncorrected, a score is relative to popularity."""
    with_it, without = (scores(train(planted, mixed_negatives=0, logq_correction=on), planted) for on in (True, False))
    assert appeal_rank_correlation(with_it, planted) > 0.6
    assert appeal_rank_correlation(without, planted) < 0.45


def percentile(scores: np.ndarray, planted, liked: bool) -> float:
    """Mean place of never watched items in the users' orders, 0 last and 1 first; `liked`: of the liked genre."""
    places = np.argsort(np.argsort(scores, axis=1), axis=1) / (scores.shape[1] - 1)
    chosen = (planted.appeal == 0) & ((planted.genre == planted.taste[:, None]) | (not liked))
    return float(places[chosen].mean())


def test_mixed_negatives_keep_unwatched_items_down(train, planted_with_unwatched):
    """Items that nobody ever watches are never in-batch negatives; nothing but a uniform sample pushes them down."""
    planted = planted_with_unwatched
    with_it, without = (train(planted, mixed_negatives=num, id_dropout=0) for num in (128, 0))
    assert percentile(scores(with_it, planted), planted, liked=False) < 0.2
    assert percentile(scores(without, planted), planted, liked=False) > 0.5


def test_id_dropout_lets_content_stand_for_cold_items(train, planted_with_unwatched):
    """Without it the missing id itself says "nobody watches this"; with it the genre speaks."""
    planted = planted_with_unwatched
    with_it, without = (train(planted, id_dropout=rate) for rate in (0.5, 0.0))
    assert percentile(scores(with_it, planted), planted, liked=True) > 0.6
    assert percentile(scores(without, planted), planted, liked=True) < 0.4


def test_accidental_hits_and_temperature_reach_the_loss(train, planted):
    short = replace(SMALL, fit=replace(SMALL.fit, max_epochs=1))
    default = train(planted, short)
    assert not same(default, train(planted, short, mask_accidental_hits=False))
    assert train(planted, short, temperature=0.5).log.epochs[0].loss != default.log.epochs[0].loss


def test_validation_days_are_not_trained_on(train, planted):
    trained = {
        days: train(planted, replace(SMALL, fit=FitConfig(max_epochs=1)), validation_days=days) for days in (0, 2, 7)
    }
    assert trained[0].num_examples > trained[2].num_examples > trained[7].num_examples
    assert trained[0].num_validation == 0 and trained[0].log.best_metric is None
    assert trained[7].num_validation == trained[0].num_examples - trained[7].num_examples


def test_history_dropout_teaches_what_the_fields_say(train, planted):
    """Users are trained on when their history is long: nobody without one is ever seen unless it is hidden."""
    with_it, without = (
        scores(train(planted, max_examples_per_user=10, history_dropout=rate), planted) for rate in (0.3, 0.0)
    )  # fmt: skip
    assert share_of_taste(with_it, planted) > share_of_taste(without, planted) + 0.04


def test_the_age_of_examples_tells_what_is_watched_now(train, planted, tmp_path, write):
    """Even items are watched in the first half of the window, odd ones in the second, by everybody alike.

    Who asks at the end gets odd items from a model that knows how old an example is, and what was watched then from one
    that is told such an age; without it every time is the same.
    """
    rng = np.random.default_rng(0)
    user, half = np.repeat(np.arange(300), 20), np.tile(np.repeat([0, 1], 10), 300)
    item = 2 * rng.integers(0, 200, len(user)) + half
    time = (27.9 - 14 * half - 13.9 * rng.random(len(user))) * 86400
    turned = replace(planted, watches=[write(tmp_path / "turned.parquet", user, item, time)])
    settings = replace(SMALL, history_dropout=0.9, validation_days=0)

    def share_of_odd(trained, age_days) -> float:
        users = Encoded.of(planted.users, "user_id", trained.user_fields)
        items = Encoded.of(planted.items, "item_id", trained.item_fields)
        with torch.no_grad():
            inputs = trained.model.item_inputs(items.take(np.arange(1, 401)))
            nothing, ages = torch.zeros(300, 1, dtype=torch.long), torch.full((300,), age_days)
            vectors = trained.model.user_vectors(users.take(np.arange(1, 301)), nothing, inputs, ages)
            return float((top((vectors @ trained.model.item_vectors(inputs).T).numpy(), 20) % 2).mean())

    with_it, without = (train(turned, settings, example_age=on) for on in (True, False))
    assert share_of_odd(with_it, 0.0) > 0.8 and share_of_odd(with_it, 25.0) < 0.2
    assert 0.3 < share_of_odd(without, 0.0) == share_of_odd(without, 25.0) < 0.7


def test_powers_of_the_age_are_inputs_when_they_are_wanted(train, planted):
    ages = pa.array(np.random.default_rng(0).integers(10, 80, 300), pa.int16())
    aged = replace(planted, users=planted.users.set_column(1, "age", ages))
    short = replace(SMALL, fit=FitConfig(max_epochs=1))
    names = {on: {f["name"] for f in train(aged, short, age_powers=on).user_fields} for on in (True, False)}
    assert names[True] - names[False] == {"user_age_square", "user_age_sqrt"} and "user_age" in names[False]


def test_the_last_watches_decide_what_is_next(train, planted, tmp_path, write):
    """Everybody watches chains of items, each followed by its successor: only the newest watch tells what is next."""
    rng = np.random.default_rng(0)
    num_items = len(planted.items)
    start = rng.integers(0, num_items, (300, 6))
    item = (start[:, :, None] + np.arange(4)).reshape(300, -1) % num_items
    user = np.repeat(np.arange(300), item.shape[1])
    time = np.tile(np.arange(item.shape[1])[::-1] * 86400.0, 300) + 1.0
    chains = replace(planted, watches=[write(tmp_path / "chains.parquet", user, item.ravel(), time)])
    with_recent, without = (train(chains, recent_lengths=lengths).log.best_metric for lengths in ((1,), ()))
    assert with_recent > 1.3 * without


def test_an_item_needs_its_positives_for_an_id(train, planted):
    short = replace(SMALL, fit=FitConfig(max_epochs=1), validation_days=0)
    few = train(planted, short, min_item_positives=60).item_fields[0]["vocabulary"]
    many = train(planted, short, min_item_positives=1).item_fields[0]["vocabulary"]
    assert set(few) < set(many) and planted.appeal[few].mean() > 2 * planted.appeal.mean()


def test_a_window_without_positives_is_refused(train, planted, tmp_path, write):
    path = write(tmp_path / "none.parquet", np.arange(3), np.arange(3), np.zeros(3), positive=np.zeros(3, dtype=bool))
    with pytest.raises(Failure, match="no examples to learn from"):
        train(replace(planted, watches=[path]))


def test_users_and_items_without_any_fields_are_enough(train, planted):
    """A log of user, item and time: everything else is null."""
    bare = replace(planted, users=bare_table(planted.users, "user_id"), items=bare_table(planted.items, "item_id"))
    trained = train(bare)
    assert (trained.user_fields, [f["name"] for f in trained.item_fields]) == ([], ["item_item_id"])
    assert trained.log.best_metric is not None and trained.log.best_metric > 0.3


def bare_table(table, key):
    return pa.table(
        [table[n] if n == key else pa.nulls(len(table), table[n].type) for n in table.column_names], table.column_names
    )


def test_the_metric_is_recall_among_items_not_in_the_history():
    """Three users and five items by hand: user k's vector is its history's item, item vectors are axes."""

    class Axes(TwoTowers):
        def item_inputs(self, fields):
            return torch.eye(5)

        def item_vectors(self, inputs):
            return inputs

        def user_vectors(self, fields, history_BH, inputs_UD, age_days_B=None):
            return torch.tensor([[0.9, 0.5, 0.4, 0.3, 0.2], [0.1, 0.5, 0.4, 0.3, 0.2], [0.0, 0.0, 0.0, 0.0, 1.0]])

    examples = Examples(
        items=np.array([1, 2, 2, 3, 4, 5]),  # rows: history of user 0 is item row 1, ...
        user=np.array([0, 1, 2]), target=np.array([1, 3, 5]), start=np.array([0, 2, 4]), end=np.array([1, 3, 5]),
        searched=np.zeros((3, 0), dtype=np.int32), age_days=np.zeros(3, dtype=np.float32),
    )  # fmt: skip
    users = Encoded(np.arange(3), {})
    items = Encoded(np.arange(5), {})
    model = Axes([], [], dim=5, hidden=4)
    # User 0: row 2 is second to row 1, which is history: rank 1. User 1: row 3 ranks 1 without row 2. User 2: rank 1.
    assert Validation(examples, users, items, TowersConfig(validation_k=1))(model) == 1.0
    missed = replace(examples, items=np.array([1, 5, 2, 1, 4, 5]))
    assert Validation(missed, users, items, TowersConfig(validation_k=1))(model) == pytest.approx(1 / 3)
    assert Validation(missed, users, items, TowersConfig(validation_k=4))(model) == 1.0


def test_the_last_day_decides_where_validation_begins(train, planted):
    earlier = replace(planted, last_day=planted.last_day - datetime.timedelta(days=3))
    assert train(earlier).num_validation > train(planted).num_validation
