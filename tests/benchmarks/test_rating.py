"""The protocol about ratings."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.protocols.choosing import Trainer
from benchmarks.protocols.formats import find_files
from benchmarks.protocols.progress import Teller
from benchmarks.protocols.rating import error, fold_rmse, folds, read, that_rate
from benchmarks.protocols.settings import that_rank
from expectations.errors import UserError
from models.catalogue import MODELS
from models.collaborative.ratings import Biases, RatingFactors
from models.interactions import Interactions, Trained


def test_a_fold_judges_a_model_that_has_not_seen_it(
    ratings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the training gives biases alone, so that the model's error is that of the biases."""
    data = read(find_files(ratings))
    sizes: list[int] = []

    def biases_alone(self: Trainer, train: Interactions, settings: Any, judge: Any = None) -> Trained:
        sizes.append(len(train.histories.items))
        users, items = train.histories.rows, train.histories.items
        assert train.ratings is not None
        nothing = [np.zeros((count, 1), np.float32) for count in (train.num_users, train.num_items)]
        return Trained(
            RatingFactors(Biases.fit(users, items, train.ratings, train.num_users, train.num_items), *nothing)
        )

    monkeypatch.setattr(Trainer, "train", biases_alone)
    trainer = Trainer(MODELS["als"], tmp_path, 0, 1, Teller())
    figures, trials = fold_rmse(trainer, folds(data)[0], data, [("one", 1), ("two", 2)])
    assert figures["als"] == pytest.approx(figures["biases"], abs=1e-6)
    assert figures["random"] > figures["biases"]
    assert len(trials) == 2 and trials[0].value == trials[1].value
    assert trials[0].figure == -(trials[0].value or 0) > 0, "an error is told as itself"
    assert sizes[-1] == 400 and sizes[0] == sizes[1] < 400


def test_too_few_ratings_are_told(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("".join(f"{n}\t{n}\t5\t1\n" for n in range(9)))
    with pytest.raises(UserError, match="9 ratings are too few for 5 folds; it takes 10"):
        read(find_files(tmp_path))
    (tmp_path / "log").write_text("".join(f"{n}\t{n}\t5\t1\n" for n in range(10)))
    data = read(find_files(tmp_path))
    with pytest.raises(UserError, match="validation: nothing is left to judge"):
        fold_rmse(Trainer(MODELS["als"], tmp_path, 0, 1, Teller()), folds(data)[0], data, [])


def test_error_is_the_root_of_the_mean_square() -> None:
    assert error(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == pytest.approx(2**0.5)


def test_a_model_is_asked_for_ratings_only_where_it_predicts_some() -> None:
    als, popularity = MODELS["als"], MODELS["popularity"]
    ranks, rates = als.settings(), als.settings(feedback="explicit")
    with pytest.raises(UserError, match="set `feedback: explicit` in the file"):
        that_rate(als, [("file", ranks)])
    with pytest.raises(UserError, match="which popularity does not; models that do: als"):
        that_rate(popularity, [("file", popularity.settings())])
    with pytest.raises(UserError, match="leave `feedback: explicit` out"):
        that_rank(als, [("file", rates)])
    both = [("a", ranks), ("b", rates)]
    assert that_rate(als, both) == both[1:] and that_rank(als, both) == both[:1]
    always = replace(als, rates_with={})
    assert that_rate(always, both) == that_rank(always, both) == both
