"""What a log allows: its kind, who can be judged, and whether anything beats popularity."""

import numpy as np
import pytest

from tasks.sources.potential import Events, potential_of, sentences

DAY = 86_400_000_000


def events(user, item, micros, positive=None) -> Events:
    order = np.argsort(micros, kind="stable")
    user, item, micros = (np.asarray(values)[order] for values in (user, item, micros))
    liked = np.ones(len(user), bool) if positive is None else np.asarray(positive)[order]
    return Events(user.astype(np.int32), item.astype(np.int32), (micros // DAY).astype(np.int32), micros, liked)


def tastes(num_users=400, per_day=4, days=10, groups=5, seed=0) -> Events:
    """Everybody plays the items of their own group, of 20 each, never one twice."""
    random = np.random.default_rng(seed)
    rows = []
    for user in range(num_users):
        own = random.permutation(20)[: min(20, per_day * days // 2)] * groups + user % groups
        rows += [(user, item, random.integers(0, days * DAY)) for item in own]
    return events(*zip(*rows, strict=True))


def test_neighbours_beat_popularity_where_people_have_tastes():
    found = potential_of(tastes(), has_ratings=False)
    assert found.neighbours > 1.5 * found.popularity
    assert any("tells more than what everybody likes" in s for s in sentences(found, 9))


def test_nothing_beats_popularity_where_nobody_has_a_taste():
    random = np.random.default_rng(0)
    item = np.minimum(random.geometric(0.1, 8000) - 1, 60)
    found = potential_of(events(random.integers(0, 400, 8000), item, random.integers(0, 10 * DAY, 8000)), False)
    assert found.neighbours <= 1.1 * found.popularity
    assert any("no more than" in s for s in sentences(found, 9))


@pytest.mark.parametrize("has_ratings, kind", [(True, "ratings"), (False, "plays")])
def test_ratings_are_of_things_once(has_ratings, kind):
    assert potential_of(tastes(), has_ratings).kind == kind


def test_baskets_are_many_at_once():
    once = tastes(num_users=50)
    micros = once.day.astype(np.int64) * DAY
    assert potential_of(events(once.user, once.item, micros), False).kind == "baskets"


def test_who_is_there_for_an_hour_is_a_session():
    random = np.random.default_rng(0)
    user = np.repeat(np.arange(2000), 4)
    begin = np.repeat(random.integers(0, 10 * DAY - DAY // 24, 2000), 4)
    found = potential_of(events(user, random.integers(0, 50, 8000), begin + random.integers(0, DAY // 48, 8000)), False)
    assert found.kind == "sessions"


def test_judged_days_are_as_few_as_have_enough_people():
    assert potential_of(tastes(num_users=400), False).judge_days == 2, "no more than a fifth"
    assert potential_of(tastes(num_users=4000), False).judge_days == 1


def test_what_is_judged_is_counted():
    days = np.array([0, 0, 1, 5, 5, 5]) * DAY
    found = potential_of(events([0, 1, 0, 0, 2, 1], [0, 1, 2, 0, 1, 9], days), False)
    assert (found.num_days, found.judge_days, found.num_judged, found.with_history) == (6, 1, 3, 2)
    assert found.familiar == 0.5 and found.again == 0.5
    assert found.repeated == pytest.approx(1 / 6)


def test_only_positives_count():
    liked = [True, False, True, True]
    found = potential_of(events([0, 1, 0, 1], [0, 1, 2, 3], np.array([0, 0, 5, 5]) * DAY, liked), True)
    assert (found.num_judged, found.with_history) == (2, 1)
