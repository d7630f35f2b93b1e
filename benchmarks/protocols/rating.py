"""The protocol about ratings: five folds, mean RMSE. Settings are chosen anew in every fold, on a part of its train."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from benchmarks.protocols.choosing import Trainer, Trial, best, compare
from benchmarks.protocols.formats import Log, read_ratings
from benchmarks.protocols.task import Files, Numbering, only
from expectations.errors import UserError
from models.catalogue import MODELS, Model
from models.collaborative.ratings import Biases
from models.evaluation.splits import Split, holdout, k_fold
from models.interactions import Floats, Histories, Interactions, Ints, RatingPredictor

FOLDS = 5
FOLDS_SEED = 0
"""Surprise's `KFold(random_state=0)`: published figures are of these folds, whatever the seed of the training."""
VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class Ratings:
    """Rows of a log, numbered: users and items int64 `[N]`, ratings float32 `[N]`, all in the order of the file."""

    users: Ints
    items: Ints
    ratings: Floats
    num_users: int
    num_items: int

    @property
    def digest(self) -> str:
        """Hex digest of all rows: every one of them is judged in some fold."""
        columns = (self.users.astype("<i8"), self.items.astype("<i8"), self.ratings.astype("<f4"))
        return hashlib.sha256(b"".join(column.tobytes() for column in columns)).hexdigest()

    def take(self, places: Ints) -> "Ratings":
        return replace(self, users=self.users[places], items=self.items[places], ratings=self.ratings[places])

    @property
    def interactions(self) -> Interactions:
        """The ratings as models learn from them, by user."""
        order = np.argsort(self.users, kind="stable")
        return Interactions(
            Histories.of(self.users, self.items, self.num_users), self.num_items, False, ratings=self.ratings[order]
        )

    @property
    def known(self) -> tuple[np.ndarray, np.ndarray]:
        """Whether each user and each item has a rating."""
        return np.bincount(self.users, minlength=self.num_users) > 0, np.bincount(
            self.items, minlength=self.num_items
        ) > 0


def read(files: Files) -> Ratings:
    """The largest log with ratings in the folder.

    Raises:
        UserError: there is none, or too few ratings are in it.
    """
    if "ratings" not in files:
        only(files, "ratings", 1, "kfold-rmse needs a log of lines `user item rating seconds`")
    log = read_ratings(files["ratings"][0])
    if len(log) < 2 * FOLDS:
        raise UserError(f"kfold-rmse: {len(log)} ratings are too few for {FOLDS} folds; it takes {2 * FOLDS}")
    numbering = Numbering.of(log)
    return Ratings(
        numbering.users(log.users),
        numbering.items(log.items),
        _ratings(log),
        len(numbering.user_ids),
        len(numbering.item_ids),
    )


def that_rate(model: Model, candidates: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Those settings under which a model predicts ratings.

    Raises:
        UserError: there are none.
    """
    found = [(words, settings) for words, settings in candidates if model.rates(settings)]
    if not found and model.rates_with:
        needed = ", ".join(f"`{name}: {value}`" for name, value in model.rates_with.items())
        raise UserError(f"kfold-rmse predicts ratings: set {needed} in the file of --config")
    if not found:
        able = ", ".join(name for name, other in MODELS.items() if other.rates_with is not None)
        raise UserError(f"kfold-rmse predicts ratings, which {model.name} does not; models that do: {able}")
    return found


def fold_rmse(
    trainer: Trainer, fold: Split, data: Ratings, candidates: list[tuple[str, Any]]
) -> tuple[dict[str, float], list[Trial]]:
    """RMSE on a fold, of the model and of what stands beside it, and what was tried on a part of the fold's train."""
    train, test = data.take(fold.train), data.take(fold.test)
    part = holdout(train.users, VALIDATION_SHARE, trainer.seed)
    if not len(part.test):
        raise UserError("validation: nothing is left to judge, as in a fold nobody has two ratings to train on")

    def run(words: str, settings: Any) -> Trial:
        found = rmse(trainer, train.take(part.train), train.take(part.test), settings)
        return Trial(words, settings, -found, is_error=True)

    trials = compare(trainer, candidates, run)
    biases = Biases.fit(train.users, train.items, train.ratings, train.num_users, train.num_items)
    low, high = train.ratings.min(), train.ratings.max()
    drawn = np.random.default_rng(trainer.seed).normal(biases.mean, train.ratings.std(), len(test.users))
    figures = {
        "random": error(np.clip(drawn, low, high), test.ratings),
        "item means": error(np.clip(biases.mean + biases.items[test.items], low, high), test.ratings),
        "biases": error(np.clip(biases.predict(test.users, test.items), low, high), test.ratings),
        trainer.model.name: rmse(trainer, train, test, best(trials).settings),
    }
    return figures, trials


def rmse(trainer: Trainer, train: Ratings, test: Ratings, settings: Any) -> float:
    """RMSE on `test` of a model trained on `train`, its predictions clipped to the scale of `train`."""
    model = cast(RatingPredictor, trainer.train(train.interactions, settings).model)
    users, items = train.known
    predicted = model.predict(np.where(users[test.users], test.users, -1), np.where(items[test.items], test.items, -1))
    return error(np.clip(predicted, train.ratings.min(), train.ratings.max()), test.ratings)


def error(predicted: Floats, ratings: Floats) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean(np.square(predicted - ratings, dtype=np.float64))))


def folds(data: Ratings) -> list[Split]:
    return k_fold(len(data.users), FOLDS, FOLDS_SEED)


def _ratings(log: Log) -> Floats:
    assert log.ratings is not None
    return log.ratings
