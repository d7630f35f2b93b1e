"""What each ranking protocol trains on, hides and judges."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.protocols.formats import find_files, read_ratings, read_sequences
from benchmarks.protocols.ranking import draw_negatives, fixed_split, leave_one_out, sampled_negatives, temporal
from benchmarks.protocols.task import Task
from expectations.errors import Failure, UserError
from models.evaluation.cases import UNKNOWABLE, Case, full_ranking
from models.evaluation.splits import Split, by_time
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
    had = Histories.of(np.append(np.zeros(8, int), 1), np.append(np.arange(8), 9), 2)
    few, enough = draw_negatives(had, 10, 3, 0)
    assert sorted(few) == [-1, 8, 9], "one user's many items leave the others theirs"
    assert len(set(enough)) == 3 and not {-1, 9} & set(enough)


def _repeat_lines(path: Path, every: int) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, *lines[::every]]) + "\n")


def _same_case(a: Case, b: Case) -> None:
    assert rows(a.train.histories) == rows(b.train.histories) and rows(a.relevant) == rows(b.relevant)
    assert rows(a.histories) == rows(b.histories)
    drawn, again = (None if case.negatives is None else case.negatives.tolist() for case in (a, b))
    assert drawn == again


def test_lines_that_repeat_a_user_and_an_item_count_once(
    split: Path, negatives: Path, ratings: Path, sequences: Path
) -> None:
    folders = ((fixed_split, split), (sampled_negatives, negatives), (temporal, ratings), (leave_one_out, sequences))
    once = [build(find_files(folder), 0) for build, folder in folders]
    assert not any("second time" in note for task in once for note in task.notes)
    for path in (split / "a", split / "z", sequences / "what"):
        rows_ = (line.split() for line in path.read_text().splitlines())
        path.write_text("\n".join(" ".join([*row, row[1]]) for row in rows_) + "\n")
    _repeat_lines(negatives / "p", 3)
    _repeat_lines(ratings / "log", 5)
    for (build, folder), before in zip(folders, once, strict=True):
        task = build(find_files(folder), 0)
        _same_case(task.test, before.test)
        _same_case(task.validation, before.validation)
        assert task.counts == before.counts and any("a second time and do not count" in note for note in task.notes)


def test_in_time_whatever_was_rated_is_not_recommended_and_every_item_is_a_candidate(ratings: Path) -> None:
    task, log = temporal(find_files(ratings), 0), read_ratings(ratings / "log")
    assert log.times is not None and log.ratings is not None
    assert task.counts == (30, 25, 500) and task.test.train.num_items == 25
    cut = 90 * 86_400
    wanted = np.unique(log.users[(log.ratings >= 4) & (log.times >= cut)])
    assert task.test.seen is not None and len(task.test.seen) == len(wanted)
    for user, seen in zip(wanted, rows(task.test.seen), strict=True):
        own = (log.users == user) & (log.times < cut)
        assert sorted(seen) == sorted(log.items[own] - 1)
    assert task.test.seen.sizes.sum() > task.test.histories.sizes.sum(), "what was not liked is seen too"
    best = full_ranking(task.test, lambda u, h: np.tile(np.arange(25.0), (len(u), 1)), 25)
    assert best.sum() == task.test.relevant.sizes.sum()


LOG = "1\t5\t5\t60\n1\t6\t4\t4320000\n2\t5\t5\t4320000\n"
"""On days 0 and 50."""


@pytest.mark.parametrize(
    ("build", "text", "told"),
    [
        (leave_one_out, "1 5\n2 6\n3 5\n", "validation: nothing is left to judge"),
        (leave_one_out, "1 5 6\n2 6 5\n3 5 6\n", "validation: nothing is left to judge"),
        (temporal, LOG + "2\t6\t1\t8640000\n", "nothing is liked in the 30 days to be judged"),
    ],
)
def test_too_little_to_cut_is_told(build, text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(text)
    with pytest.raises(UserError, match=told):
        build(find_files(tmp_path), 0)


def test_a_single_item_is_trained_on_and_not_judged(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("1 5 6 7\n2 6 5 7\n3 7\n")
    task = leave_one_out(find_files(tmp_path), 0)
    assert rows(task.test.train.histories) == [[0, 1], [1, 0], [2]] and task.test.users.tolist() == [0, 1]


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


def test_spans_that_are_judged_lie_before_each_other_and_after_what_chooses(ratings: Path) -> None:
    one, task = temporal(find_files(ratings), 0), temporal(find_files(ratings), 0, spans=2)
    assert task.test.digest == one.test.digest and [case.digest for case in task.rolled] == [one.validation.digest]
    assert task.validation.digest == one.earlier[0].digest and not task.earlier


def test_a_late_row_in_what_is_trained_on_is_a_leak(ratings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(times: np.ndarray, *args: Any, **more: Any) -> Split:
        split = by_time(times, *args, **more)
        return replace(split, train=np.append(split.train, split.test[:1]))

    monkeypatch.setattr("benchmarks.protocols.ranking.by_time", careless)
    with pytest.raises(Failure, match=r"leak: 1 of .* training interactions are not before the cut .* filter"):
        temporal(find_files(ratings), 0)


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
