"""What each ranking protocol trains on, hides and judges."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.protocols.formats import find_files, read_ratings, read_sequences
from benchmarks.protocols.ranking import draw_negatives, fixed_split, leave_one_out, sampled_negatives, temporal
from benchmarks.protocols.task import Task
from expectations.errors import UserError
from models.evaluation.cases import UNKNOWABLE, Case
from models.interactions import Histories


def rows(histories: Histories) -> list[list[int]]:
    return [histories.items[a:b].tolist() for a, b in zip(histories.offsets, histories.offsets[1:], strict=False)]


def test_leave_one_out(sequences: Path) -> None:
    log = read_sequences(sequences / "what")
    numbers = {item: n for n, item in enumerate(np.unique(log.items).tolist())}
    whole = [[numbers[i] for i in log.items[log.users == user].tolist()] for user in range(1, 13)]
    task = leave_one_out(find_files(sequences), 0)
    assert task.counts == (12, len(numbers), sum(map(len, whole)))
    assert rows(task.test.histories) == [own[:-1] for own in whole]
    assert rows(task.test.train.histories) == [own[:-1] for own in whole]
    seen = {item for own in whole for item in own[:-1]}
    assert rows(task.test.relevant) == [[own[-1] if own[-1] in seen else UNKNOWABLE] for own in whole]
    assert rows(task.test.relevant)[2] == [UNKNOWABLE]
    assert rows(task.validation.train.histories) == [own[:-2] for own in whole]
    seen = {item for own in whole for item in own[:-2]}
    assert rows(task.validation.relevant) == [[own[-2] if own[-2] in seen else UNKNOWABLE] for own in whole]
    attributes = task.test.train.attributes
    assert attributes is not None and len(attributes) == len(numbers)
    assert attributes.sizes.tolist()[:2] == [2, 1]


def test_fixed_split(split: Path) -> None:
    task = fixed_split(find_files(split), 0)
    assert task.counts == (20, 30, 260)
    assert task.test.train.histories.sizes.tolist() == [10] * 20
    assert task.test.relevant.sizes.tolist() == [3] * 20
    assert task.validation.relevant.sizes.tolist() == [1] * 20
    for kept, held, whole in zip(
        rows(task.validation.train.histories), rows(task.validation.relevant), rows(task.test.histories), strict=True
    ):
        assert sorted(kept + held) == sorted(whole)
    assert task.test.train.attributes is None


def test_validation_follows_the_seed_and_the_test_does_not(split: Path) -> None:
    tasks = [fixed_split(find_files(split), seed) for seed in (0, 1)]
    assert rows(tasks[0].validation.relevant) != rows(tasks[1].validation.relevant)
    assert tasks[0].test.digest == tasks[1].test.digest


def test_sampled_negatives(negatives: Path) -> None:
    task = sampled_negatives(find_files(negatives), 0)
    assert task.test.negatives is not None and task.test.negatives.shape == (8, 3)
    assert task.test.relevant.sizes.tolist() == [1] * 8
    assert task.test.train.histories.sizes.tolist() == [6] * 8
    assert task.validation.train.histories.sizes.tolist() == [5] * 8
    assert task.validation.negatives is not None
    for drawn, own in zip(task.validation.negatives.tolist(), rows(task.test.histories), strict=True):
        assert len(set(drawn)) == 3 and not set(drawn) & set(own)


def test_negatives_end_where_the_items_do() -> None:
    assert sorted(draw_negatives(Histories.of(np.zeros(8, int), np.arange(8), 1), 10, 3, 0)[0]) == [8, 9]


def test_temporal_knows_nothing_of_the_last_days(ratings: Path) -> None:
    task = temporal(find_files(ratings), 0)
    log = read_ratings(ratings / "log")
    assert log.times is not None and log.ratings is not None
    liked = log.ratings >= 4
    cut = 90 * 86_400
    assert task.test.train.times is not None and task.test.train.times.max() < cut
    assert len(task.test.train.times) == (liked & (log.times < cut)).sum()
    assert task.test.relevant.sizes.sum() == (liked & (log.times >= cut)).sum()
    assert task.validation.train.times is not None and task.validation.train.times.max() < cut - 30 * 86_400
    assert len(task.earlier) == 1, "of the 120 days, the first 30 have none before them"
    assert task.earlier[0].train.times is not None and task.earlier[0].train.times.max() < cut - 60 * 86_400
    strangers = task.test.users == -1
    assert strangers.any() and not strangers.all()
    assert (task.test.histories.sizes[strangers] == 0).all()
    _check_known_users(task.test)


def _check_known_users(case: Case) -> None:
    """A known user's history is what the training knows of that user."""
    known = np.flatnonzero(case.users >= 0)
    assert rows(case.histories.take(known)) == rows(case.train.histories.take(case.users[known]))


@pytest.mark.parametrize(
    ("build", "folder", "words"),
    [
        (fixed_split, "sequences", "needs two files"),
        (leave_one_out, "split", "needs one file"),
        (sampled_negatives, "split", "needs a file of pairs"),
        (temporal, "sequences", "needs a log"),
    ],
)
def test_folders_that_lack_something_are_refused(build, folder: str, words: str, request) -> None:
    with pytest.raises(UserError, match=words):
        build(find_files(request.getfixturevalue(folder)), 0)


def test_a_log_with_times_can_be_left_one_out(ratings: Path) -> None:
    task: Task = leave_one_out(find_files(ratings), 0)
    assert task.test.train.times is not None and task.test.train.ordered
    assert all(
        (np.diff(task.test.train.times[a:b]) >= 0).all()
        for a, b in zip(task.test.train.histories.offsets, task.test.train.histories.offsets[1:], strict=False)
    )
