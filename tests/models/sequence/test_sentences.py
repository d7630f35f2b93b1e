import numpy as np

from models.interactions import Histories
from models.sequence.sentences import PLAY, Sentences, right_padded, windows


def _sentences() -> Sentences:
    return Sentences.of_plays(Histories.of(np.array([0, 0, 0, 2, 2]), np.array([5, 1, 4, 2, 0]), 3))


def test_plays_keep_their_order_and_members_may_have_none():
    sentences = _sentences()
    assert len(sentences) == 3
    assert sentences.sizes.tolist() == [3, 0, 2]
    assert sentences.item.tolist() == [6, 2, 5, 3, 1]
    assert (sentences.action == PLAY).all()


def test_the_newest_tokens_are_padded_on_the_right():
    newest = _sentences().newest(np.array([2, 0, 1]), 2)
    assert newest["item"].tolist() == [[3, 1], [2, 5], [0, 0]]
    assert newest["action"].tolist() == [[PLAY, PLAY], [PLAY, PLAY], [0, 0]]


def test_take_and_where_move_whole_members_and_single_tokens():
    sentences = _sentences()
    assert sentences.take(np.array([2, 0])).item.tolist() == [3, 1, 6, 2, 5]
    kept = sentences.where(sentences.item > 2)
    assert (kept.item.tolist(), kept.sizes.tolist()) == ([6, 5, 3], [2, 0, 1])


def test_right_padded_has_at_least_one_place():
    assert right_padded(np.array([4]), np.array([4])).tolist() == [[-1]]


def test_windows_cover_every_step_from_one_token_to_the_next_exactly_once():
    offsets = np.array([0, 1, 3, 3, 20])
    starts, ends = windows(offsets, 5)
    steps = [step for start, end in zip(starts, ends, strict=True) for step in range(start, end - 1)]
    assert sorted(steps) == [1, *range(3, 19)]
    assert (ends - starts).max() <= 6
