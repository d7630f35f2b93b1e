import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics.tables import Ranking, ranked_lists, rows_of


def test_an_id_that_is_not_there_has_no_row():
    assert rows_of(np.array([7, 2, 9, 7]), np.array([2, 7])).tolist() == [1, 0, -1, 1]
    assert rows_of(np.array([], dtype=np.int64), np.array([4])).tolist() == []


@given(st.dictionaries(st.integers(0, 9), st.lists(st.integers(0, 99), unique=True, max_size=6)), st.data())
def test_lists_are_the_rows_by_rank_in_any_order_of_rows(lists, data):
    rows = [(u, i, r) for u, items in lists.items() for r, i in enumerate(items, 1)]
    shuffled = np.array(data.draw(st.permutations(rows)), dtype=np.int32).reshape(-1, 3)
    wanted = np.array(data.draw(st.lists(st.integers(0, 12), unique=True)), dtype=np.int64)
    made = ranked_lists(shuffled[:, 0], shuffled[:, 1], shuffled[:, 2].astype(np.int16), wanted, 4)
    assert made.tolist() == [(lists.get(u, [])[:4] + [-1] * 4)[:4] for u in wanted.tolist()]


def test_tables_are_judged_for_the_users_who_like_something():
    ranked = pa.table({"user_id": [3, 1, 3, 8], "item_id": [5, 5, 6, 7], "rank": [2, 1, 1, 1]})
    relevant = pa.table({"user_id": [3, 5, 1, 3], "item_id": [5, 1, 9, 5]})
    ranking = Ranking.of_tables(ranked, relevant, 2)
    assert ranking.user_ids.tolist() == [1, 3, 5]
    assert ranking.lists.tolist() == [[5, -1], [6, 5], [-1, -1]]
    values = ranking.metrics([2])
    assert values["recall", 2].tolist() == [0, 1, 0]
    assert values["mrr", 2] == pytest.approx([0, 0.5, 0])
