import numpy as np
import pyarrow as pa
import pytest

from expectations.datasets import HISTORIES, USERS
from expectations.errors import UserError
from models.evaluation.truth import activity_segments, judged_users, user_segments


def watches(rows: list[tuple[int, int, bool]]) -> pa.Table:
    users, items, positive = zip(*rows, strict=True)
    return pa.table(
        {"user_id": pa.array(users, pa.int32()), "item_id": pa.array(items, pa.int32()), "positive": positive}
    )


def histories(rows: dict[int, tuple[list[int], list[int]]]) -> pa.Table:
    """user -> (positives, seen), in the order given."""
    data = {
        "user_id": list(rows),
        "item_ids": [r[0] for r in rows.values()],
        "times": [[0] * len(r[0]) for r in rows.values()],
        "watch_shares": [[1.0] * len(r[0]) for r in rows.values()],
        "seen": [r[1] for r in rows.values()],
        "searched": [[] for _ in rows],
    }
    return pa.table(data, schema=HISTORIES.schema)


@pytest.fixture
def judged():
    days = [
        watches([(1, 10, True), (1, 11, True), (1, 12, False), (2, 10, True), (9, 10, True)]),
        watches([(1, 10, True), (1, 99, True), (3, 11, True), (9, 99, True), (4, 12, True)]),
    ]
    known = histories({3: ([11], [11]), 1: ([7], [7, 11])})  # not in order of id
    return judged_users(days, np.array([1, 2, 3, 4]), np.array([7, 10, 11, 12]), known)


def test_truth_is_what_was_new_and_known_of_users_known(judged):
    assert judged.user_ids.tolist() == [1, 2, 4]
    assert [p.tolist() for p in np.split(judged.truth.item_ids, judged.truth.offsets[1:-1])] == [[10], [10], [12]]
    assert [p.tolist() for p in np.split(judged.seen.item_ids, judged.seen.offsets[1:-1])] == [[7, 11], [], []]
    assert judged.history_sizes.tolist() == [1, 0, 0]


def test_everything_left_out_is_counted_with_its_reason(judged):
    left_out = judged.left_out
    assert left_out == {
        "positives": 9,
        "by_users_unknown_at_the_cut": 2,  # user 9
        "of_items_unknown_at_the_cut": 1,  # item 99 of user 1
        "repeated": 1,  # user 1 watched item 10 twice
        "of_items_seen_in_the_window": 2,  # item 11 of users 1 and 3
        "counted": 3,
        "users_with_positives": 5,
        "users_judged": 3,
    }
    reasons = [k for k in left_out if k.startswith(("by_", "of_", "repeated"))]
    assert left_out["positives"] == left_out["counted"] + sum(left_out[r] for r in reasons)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            (9, 1, True),
            r"none of the 1 positives.*by_users_unknown_at_the_cut 1.*take a longer one \(window\.train_days\)",
        ),
        ((1, 9, True), r"of_items_unknown_at_the_cut 1.*window\.judge_days"),
        ((1, 1, True), r"of_items_seen_in_the_window 1.*take a shorter window \(window\.train_days\)"),
        ((1, 1, False), r"nobody has a positive on the judged days.*source\.positive_min_rating"),
    ],
)
def test_nothing_to_judge_is_an_error_that_says_why_and_what_to_do(row, words):
    with pytest.raises(UserError, match=words):
        judged_users([watches([row])], np.array([1]), np.array([1]), histories({1: ([1], [1])}))


def test_a_sample_is_seeded_in_order_and_only_taken_when_needed(judged):
    assert judged.sample(3, seed=0) is judged
    some = judged.sample(2, seed=0)
    assert len(some.user_ids) == 2
    assert np.all(np.diff(some.user_ids) > 0)
    assert some.user_ids.tolist() == judged.sample(2, seed=0).user_ids.tolist()
    assert len({tuple(judged.sample(2, seed=s).user_ids) for s in range(20)}) > 1


def test_segments_follow_columns_and_history_lengths(judged):
    rows = [
        {"user_id": u, "lifecycle": life, "engagement_tier": None} for u, life in ((1, "new"), (2, None), (4, "active"))
    ]
    segments = user_segments(judged, pa.Table.from_pylist(rows, schema=USERS.schema))
    assert {name: members.tolist() for name, members in segments.items()} == {
        "all": [True, True, True],
        "lifecycle=active": [False, False, True],
        "lifecycle=new": [True, False, False],
        "history=0": [False, True, True],
        "history=1-4": [True, False, False],
    }


def test_activity_follows_the_last_week_of_the_window(judged):
    week, day = 7 * 86_400, 86_400

    def members(end: int) -> dict[str, list[int]]:
        """Users 1, 2 and 4 are judged; user 3, who is not, watched last."""
        times = {1: [0, 3 * week], 2: [3 * week - day], 3: [end], 4: [day]}
        known = pa.table({"user_id": pa.array(times, pa.int32()), "times": [*times.values()]})
        return {n: judged.user_ids[m].tolist() for n, m in activity_segments(judged, known).items()}

    assert members(3 * week) == {"activity=new": [2], "activity=active": [1], "activity=at_risk": [4]}
    assert members(9 * week) == {"activity=at_risk": [1, 2, 4]}


def test_who_has_no_history_is_new(judged):
    nobody = pa.table({"user_id": pa.array([9], pa.int32()), "times": [[5]]})
    assert activity_segments(judged, nobody)["activity=new"].tolist() == [True, True, True]
