"""What a log allows: its kind, who can be judged, and whether anything beats popularity."""

from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.potential import LAST_OF_HISTORY, Events, K, potential_of, sentences

DAY = 86_400_000_000


def events(user, item, micros, positive=None) -> Events:
    order = np.argsort(micros, kind="stable")
    user, item, micros = (np.asarray(values)[order] for values in (user, item, micros))
    liked = np.ones(len(user), bool) if positive is None else np.asarray(positive)[order]
    return Events(user.astype(np.int32), item.astype(np.int32), micros, liked)


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
    assert any("tells more than what everybody likes" in s for s in sentences(found))


def test_nothing_beats_popularity_where_nobody_has_a_taste():
    random = np.random.default_rng(0)
    item = np.minimum(random.geometric(0.1, 8000) - 1, 60)
    found = potential_of(events(random.integers(0, 400, 8000), item, random.integers(0, 10 * DAY, 8000)), False)
    assert found.neighbours <= 1.1 * found.popularity
    assert any("no more than" in s for s in sentences(found))


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


def test_judged_days_that_are_given_are_judged_though_the_last_of_them_are_quiet():
    found = potential_of(events([0, 1, 0], [0, 1, 1], np.array([0, 1, 5]) * DAY), False, range(4, 8))
    assert (found.num_days, found.judged_from, found.judge_days) == (8, 4, 4)
    assert (found.num_judged, found.with_history, found.familiar) == (1, 1, 1.0)
    assert "Judged on 4 days from 1970-01-05: 1 person likes something then" in sentences(found)[1]


def test_what_somebody_had_long_ago_is_not_new_to_them():
    """Of long histories only the last items say what goes with them, but all were had."""
    many = LAST_OF_HISTORY + K + 5
    own = [(0, item, item) for item in range(many)]
    popular = [(user, item, item) for user in (1, 2) for item in range(K + 5)]
    rows = [*own, *popular, (3, many, 0), (0, many, 9 * DAY)]
    found = potential_of(events(*map(np.array, zip(*rows, strict=True))), False, range(9, 10))
    assert found.popularity == 1.0, "the one item that they had not had is all there is to recommend"


EVENT = st.tuples(st.integers(0, 4), st.integers(0, 16), st.integers(0, 6), st.integers(0, DAY - 1), st.booleans())


@given(st.lists(EVENT, min_size=1, max_size=80), st.integers(1, 3))
def test_figures_are_those_of_a_naive_count(rows, judge_days):
    rows.sort(key=lambda row: (row[2], row[3]))
    user, item, day, within, positive = map(np.array, zip(*rows, strict=True))
    judged = range(7 - judge_days, 7)
    found = potential_of(events(user, item, day * DAY + within, positive), False, judged)
    pairs = Counter((u, i) for u, i, *_ in rows)
    assert found.repeated == pytest.approx(sum(n - 1 for n in pairs.values()) / len(rows))
    before = [(u, i) for u, i, d, _, p in rows if p and d not in judged]
    after = [(u, i) for u, i, d, _, p in rows if p and d in judged]
    known, items = {u for u, _ in before}, {i for _, i in before}
    theirs = [(u, i) for u, i in after if u in known]
    assert found.num_judged == len({u for u, _ in after})
    assert found.with_history == len({u for u, _ in theirs})
    assert found.familiar == pytest.approx(np.mean([i in items for _, i in theirs]) if theirs else 0)
    assert found.again == pytest.approx(np.mean([one in before for one in theirs]) if theirs else 0)
    least, most = _hits_by_popularity(before, theirs)
    assert least <= found.popularity * 1.0000001 and found.popularity <= most * 1.0000001


def _hits_by_popularity(before, theirs):
    """Share of people with a right one in ten, where ties fall worst and best for them."""
    counts = Counter(i for _, i in before)
    ends = []
    for user in {u for u, _ in theirs}:
        new = {i: n for i, n in counts.items() if (user, i) not in before}
        wanted = {i for u, i in theirs if u == user and i in new}
        if wanted:
            ahead = [sum(n > new[i] for n in new.values()) for i in wanted]
            tied = [sum(n >= new[i] and j not in wanted for j, n in new.items()) for i in wanted]
            ends.append((min(tied) < K, min(ahead) < K))
    return np.mean(ends, axis=0) if ends else (0.0, 0.0)


def test_days_of_the_lake_are_events_in_order_of_time():
    def day(*rows):
        columns = zip(*rows, strict=True)
        names = ("user_id", "item_id", "time", "positive")
        types = (pa.int32(), pa.int32(), pa.timestamp("us", tz="UTC"), pa.bool_())
        return pa.table({n: pa.array(c, t) for n, c, t in zip(names, columns, types, strict=True)})

    def at(second):
        return datetime.fromtimestamp(second, UTC)

    found = Events.of([day((1, 7, at(5), True), (2, 8, at(3), False)), day((3, 9, at(86_400), True))])
    assert found.user.tolist() == [2, 1, 3] and found.item.tolist() == [8, 7, 9]
    assert found.positive.tolist() == [False, True, True] and found.day.tolist() == [0, 0, 1]
    assert not len(Events.of([]).user)
