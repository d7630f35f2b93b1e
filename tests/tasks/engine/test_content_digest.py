"""Content digests: what must not matter does not, what must does."""

from operator import itemgetter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.engine.content_digest import file_sha256, table_digest

SCHEMA = pa.schema(
    [
        ("id", pa.int32()),
        ("name", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("weights", pa.list_(pa.float32())),
        ("at", pa.timestamp("us", tz="UTC")),
        ("good", pa.bool_()),
    ]
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(-(2**31), 2**31 - 1),
            "name": st.none() | st.text(max_size=5),
            "tags": st.none() | st.lists(st.none() | st.text(max_size=3), max_size=3),
            "weights": st.lists(st.floats(width=32, allow_nan=False), max_size=3),
            "at": st.none() | st.integers(0, 2**50),
            "good": st.none() | st.booleans(),
        }
    ),
    max_size=20,
    unique_by=itemgetter("id"),
)


def _table(rows: list[dict]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@given(ROWS, st.randoms())
def test_row_order_and_chunks_do_not_matter(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    half = len(rows) // 2
    chunked = pa.concat_tables([_table(shuffled[:half]), _table(shuffled[half:])])
    assert table_digest(_table(rows), ("id",)) == table_digest(chunked, ("id",))


@given(ROWS, ROWS)
def test_digests_are_equal_exactly_when_tables_are(left, right):
    by_id = lambda rows: _table(sorted(rows, key=lambda r: r["id"]))  # noqa: E731
    same = by_id(left).equals(by_id(right))
    assert (table_digest(_table(left), ("id",)) == table_digest(_table(right), ("id",))) == same


def test_slices_of_larger_buffers_digest_like_copies():
    table = _table(
        [{"id": i, "name": str(i), "tags": ["a"] * i, "weights": [1.0], "at": i, "good": True} for i in range(9)]
    )
    copy = pa.Table.from_pylist(table.slice(3, 4).to_pylist(), schema=SCHEMA)
    assert table_digest(table.slice(3, 4), ("id",)) == table_digest(copy, ("id",))


@pytest.mark.parametrize("left, right", [(["ab", "c"], ["a", "bc"]), ([None], [""]), (["a", None], [None, "a"])])
def test_strings_do_not_run_into_each_other(left, right):
    one, other = (pa.table({"s": pa.array(v, pa.string())}) for v in (left, right))
    assert table_digest(one, ()) != table_digest(other, ())


def test_values_under_nulls_do_not_matter():
    hidden = pa.Array.from_buffers(pa.int32(), 2, [pa.py_buffer(b"\x01"), pa.py_buffer(b"\x01\0\0\0\x63\0\0\0")])
    assert table_digest(pa.table({"n": hidden}), ()) == table_digest(
        pa.table({"n": pa.array([1, None], pa.int32())}), ()
    )


def test_file_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert file_sha256(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
