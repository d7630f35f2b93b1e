"""Fitted encoder specs, and what `encode` makes of them."""

import math

import numpy as np
import pyarrow as pa
import pytest

from models.encoding import Field, fit_field, fit_fields, frequent_values
from models.runtime.encoding import encode


def column(values, type_) -> pa.Table:
    return pa.table({"x": pa.array(values, type_)})


def encoded(field: Field, train: pa.Table, rows: pa.Table | None = None) -> np.ndarray:
    spec = fit_field(train, field, "user_x", max_vocabulary=100)
    assert spec is not None
    return encode(train if rows is None else rows, [spec])["user_x"]


def test_categories_are_places_in_the_vocabulary_and_the_unknown_is_zero():
    train = column(["b", "a", None, "b"], pa.string())
    rows = column(["a", "b", "c", None], pa.string())
    assert encoded(Field("x", "category"), train, rows).tolist() == [1, 2, 0, 0]


def test_number_categories_survive_json_types():
    train = column([30, 10, None], pa.int32())
    assert encoded(Field("x", "category"), train).tolist() == [2, 1, 0]


def test_the_vocabulary_keeps_the_most_frequent_values():
    values = pa.array(["c", "a", "c", "b", "a", None, "d"])
    assert frequent_values(values, max_size=3) == ["a", "b", "c"]
    assert frequent_values(values, max_size=10, min_count=2) == ["a", "c"]
    spec = fit_field(pa.table({"x": values}), Field("x", "category"), "x", max_vocabulary=2)
    assert spec is not None and spec["vocabulary"] == ["a", "c"]


def test_bags_are_cut_and_padded_and_may_be_missing():
    train = column([["b", "a"], ["a"], None, []], pa.list_(pa.string()))
    assert encoded(Field("x", "bag", max_length=8), train).tolist() == [[2, 1], [1, 0], [0, 0], [0, 0]]
    assert encoded(Field("x", "bag", max_length=1), train).tolist() == [[2], [1], [0], [0]]


def test_numbers_are_standardised_and_the_missing_is_the_mean():
    values = [1.0, 3.0, None, float("nan")]
    assert encoded(Field("x", "number"), column(values, pa.float32())).tolist() == [-1, 1, 0, 0]


def test_a_number_may_be_standardised_after_its_logarithm():
    train = column([0.0, math.e - 1, -5.0], pa.float32())
    got = encoded(Field("x", "number", transform="log1p"), train)
    logs = np.array([0.0, 1.0, 0.0])
    assert got == pytest.approx((logs - logs.mean()) / logs.std(), abs=1e-6)


def test_powers_of_a_number_stand_beside_it_and_are_standardised_on_their_own():
    train = column([1.0, 4.0, None, -9.0], pa.float32())
    declared = (Field("x", "number"), Field("x", "number", transform="square"), Field("x", "number", transform="sqrt"))
    got = encode(train, fit_fields(train, declared, "user", max_vocabulary=100))
    assert list(got) == ["user_x", "user_x_square", "user_x_sqrt"]
    squares, roots = np.array([1.0, 16.0, 81.0]), np.array([1.0, 2.0, 0.0])
    for name, values in (("user_x_square", squares), ("user_x_sqrt", roots)):
        expected = (values - values.mean()) / values.std()
        assert got[name] == pytest.approx([*expected[:2], 0, expected[2]], abs=1e-6)


def test_vectors_keep_their_numbers_and_are_zeros_where_missing():
    train = column([[1.0, 2.0], None, [3.0, float("nan")]], pa.list_(pa.float32()))
    assert encoded(Field("x", "vector"), train).tolist() == [[1, 2], [0, 0], [3, 0]]


def test_vectors_of_different_lengths_are_refused():
    train = column([[1.0, 2.0], [3.0]], pa.list_(pa.float32()))
    with pytest.raises(ValueError, match=r"different lengths \[1, 2\]"):
        fit_field(train, Field("x", "vector"), "x", max_vocabulary=10)


@pytest.mark.parametrize(
    ("kind", "type_", "value"),
    [
        ("category", pa.string(), None),
        ("bag", pa.list_(pa.string()), []),
        ("number", pa.float32(), 2.0),
        ("number", pa.int16(), None),
        ("vector", pa.list_(pa.float32()), None),
    ],
)
def test_columns_that_say_nothing_are_left_out(kind, type_, value):
    table = pa.table({"x": pa.array([value, value], type_), "age": pa.array([10, 20])})
    fields = fit_fields(table, [Field("x", kind), Field("age", "number")], "user", max_vocabulary=10)
    assert [field["name"] for field in fields] == ["user_age"]
