"""Times and numbers of any type and unit."""

from datetime import UTC, date, datetime, timezone
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import UserError
from tasks.sources.times import as_micros, time_form
from tasks.sources.values import NO_ID, as_ids, as_number, as_text, encoded_ids, without_point_zero

MOMENT = datetime(2021, 7, 3, 4, 5, 6, tzinfo=UTC)
SECONDS = int(MOMENT.timestamp())

TIMES = {
    "seconds": pa.array([SECONDS]),
    "seconds, small type": pa.array([SECONDS], pa.uint32()),
    "milliseconds": pa.array([SECONDS * 10**3]),
    "microseconds": pa.array([SECONDS * 10**6]),
    "nanoseconds": pa.array([SECONDS * 10**9]),
    "float seconds": pa.array([float(SECONDS)]),
    "text seconds": pa.array([f" {SECONDS} "]),
    "text float seconds": pa.array([f"{SECONDS}.0"]),
    "text milliseconds": pa.array([f"{SECONDS}000"]),
    "iso": pa.array(["2021-07-03 04:05:06"]),
    "iso with T and Z": pa.array(["2021-07-03T04:05:06Z"]),
    "iso with offset": pa.array(["2021-07-03T06:05:06+02:00"]),
    "iso with fraction": pa.array(["2021-07-03T04:05:06.000000"]),
    "naive timestamp": pa.array([MOMENT.replace(tzinfo=None)], pa.timestamp("s")),
    "timestamp elsewhere": pa.array([MOMENT], pa.timestamp("ms", tz="America/New_York")),
    "nanosecond timestamp": pa.array([MOMENT], pa.timestamp("ns", tz="UTC")),
    "dictionary": pa.array(["2021-07-03 04:05:06"]).dictionary_encode(),
}


@pytest.mark.parametrize("name", TIMES)
def test_one_moment_in_every_form(name):
    values = TIMES[name]
    unit = time_form(values)
    micros, bad = as_micros(values, unit, "time")
    assert micros.tolist() == [SECONDS * 10**6]
    assert not bad.any()


def test_dates_begin_at_midnight_utc():
    midnight = int(datetime(2021, 7, 3, tzinfo=timezone.utc).timestamp()) * 10**6  # noqa: UP017
    for values in (pa.array([date(2021, 7, 3)]), pa.array(["2021-07-03"])):
        assert as_micros(values, time_form(values), "time")[0].tolist() == [midnight]


def test_fractions_of_a_second_are_kept():
    for values in (pa.array([f"{SECONDS}.25"]), pa.array(["2021-07-03T04:05:06.25"])):
        assert as_micros(values, time_form(values), "time")[0].tolist() == [SECONDS * 10**6 + 250_000]


def test_what_is_no_time_is_marked():
    values = pa.array(["2021-07-03", "2021-02-30", None, "soon", "2021-07-04"])
    assert as_micros(values, "iso", "time")[1].tolist() == [False, True, True, True, False]
    numbers = pa.array(["1500000000", "soon", None, "1e400", "nan"])
    assert as_micros(numbers, "s", "time")[1].tolist() == [False, True, True, True, True]


def test_numbers_beyond_any_date_do_not_wrap_around():
    micros, bad = as_micros(pa.array([2**62, 2**63 - 1]), "s", "time")
    assert (micros > 10**17).all() and not bad.any()


def test_a_unit_asked_for_is_not_guessed():
    assert time_form(pa.array([SECONDS]), "ms") == "ms"
    assert time_form(pa.array(["20210703"]), "iso") == "iso"
    assert as_micros(pa.array(["20210703"]), "iso", "time")[0].tolist() == [1625270400 * 10**6]


def test_numbers():
    values, bad = as_number(pa.array(["1", " 2.5", None, "x", "nan", "-inf"]), "rating")
    assert bad.tolist() == [False, False, False, True, True, True]
    np.testing.assert_array_equal(values[:3], [1, 2.5, np.nan])
    assert as_number(pa.array([7, None], pa.int8()), "rating")[0][0] == 7


def test_text():
    assert as_text(pa.array([7, None]), "id").to_pylist() == ["7", None]
    assert as_text(pa.array([7.0, None]), "id").to_pylist() == ["7", None]
    assert as_text(pa.array([" 07", ""]), "id").to_pylist() == ["07", None], "07 and 7 are different names"


IN_EVERY_TYPE = {
    "int64": lambda ids: pa.array(ids, pa.int64()),
    "float64": lambda ids: pa.array(ids, pa.float64()),
    "decimal128": lambda ids: pa.array([None if i is None else Decimal(i) for i in ids], pa.decimal128(20, 0)),
    "decimal with a fraction": lambda ids: pa.array(
        [None if i is None else Decimal(i) for i in ids], pa.decimal128(20, 2)
    ),
    "decimal256": lambda ids: pa.array([None if i is None else Decimal(i) for i in ids], pa.decimal256(40, 0)),
    "string": lambda ids: pa.array([None if i is None else f" {i} " for i in ids], pa.string()),
    "large_string": lambda ids: pa.array([None if i is None else str(i) for i in ids], pa.large_string()),
    "string_view": lambda ids: pa.array([None if i is None else str(i) for i in ids], pa.string_view()),
    "binary": lambda ids: pa.array([None if i is None else str(i).encode() for i in ids], pa.binary()),
    "large_binary": lambda ids: pa.array([None if i is None else str(i).encode() for i in ids], pa.large_binary()),
    "dictionary": lambda ids: pa.array([None if i is None else str(i) for i in ids], pa.string()).dictionary_encode(),
    "dictionary of numbers": lambda ids: pa.array(ids, pa.int64()).dictionary_encode(),
    "dictionary of bytes": lambda ids: pa.array(
        [None if i is None else str(i).encode() for i in ids]
    ).dictionary_encode(),
}


@given(
    st.lists(st.none() | st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1), min_size=1),
    st.sampled_from(list(IN_EVERY_TYPE)),
)
def test_an_id_is_the_same_text_in_every_type(ids, name):
    if all(i is None for i in ids) and "bytes" in name:
        return
    values = IN_EVERY_TYPE[name](ids)
    texts = [None if i is None else str(i) for i in ids]
    assert as_ids(values, "id").to_pylist() == texts
    places, different = encoded_ids(values, "id")
    assert [None if p < 0 else different[p].as_py() for p in places.tolist()] == texts
    assert len(different.unique()) == len(different)


def test_ids_of_64_bits_stay_themselves():
    assert as_text(pa.array([2**64 - 1], pa.uint64()), "id").to_pylist() == [str(2**64 - 1)]
    assert as_text(pa.array([Decimal(10**19 + 1)], pa.decimal128(20, 0)), "id").to_pylist() == [str(10**19 + 1)]


MERGED = {
    "float32": (pa.array(np.array([2**24], dtype=np.float32)), "32-bit floats up to 16777216.*16,777,216"),
    "float64": (pa.array([2.0**53]), "64-bit floats up to 9007199254740992"),
    "infinite": (pa.array([1.0, float("inf")]), "64-bit floats up to inf"),
    "fractions": (pa.array([1.5]), "has fractions"),
    "decimal fractions": (pa.array([Decimal("1.5")]), "has fractions"),
    "bool": (pa.array([True]), "has the type bool"),
    "bytes": (pa.array([b"\xff\xfe"]), "no UTF-8 text"),
    "dictionary": (pa.array([1.5]).dictionary_encode(), "has fractions"),
}


@pytest.mark.parametrize("name", MERGED)
def test_what_cannot_be_an_id_is_refused(name):
    values, words = MERGED[name]
    for read in (as_text, encoded_ids):
        with pytest.raises(UserError, match=f"^id .*{words}"):
            read(values, "id")


def test_ids_that_are_not_there():
    texts = pa.array([*NO_ID, " nan ", "none", "NA", "0", "-"])
    assert as_ids(texts, "id").to_pylist() == [None] * (len(NO_ID) + 1) + ["none", "NA", "0", "-"]
    assert as_ids(pa.array(np.array([1, np.nan]), from_pandas=False), "id").to_pylist() == ["1", None]
    assert as_ids(pa.nulls(2), "id").to_pylist() == [None, None]


def test_ids_that_were_floats_on_their_way():
    def read(*ids: str) -> list[str]:
        return without_point_zero(pa.array(ids), "ids").to_pylist()

    assert read("1001.0", "-7.0", "0.0", "1002") == ["1001", "-7", "0", "1002"]
    assert read("1001.0", "A17") == ["1001", "A17"], "a column of numbers and words, as pandas writes it"
    assert read("007", "007.0", "7") == ["007", "007.0", "7"]
    assert read("1.0", "1.5") == ["1.0", "1.5"], "numbers with fractions are names of something else"
    for id_ in ("9007199254740992.0", "1.00123E+12", "1e+16"):
        with pytest.raises(UserError, match="different ids are one there"):
            read("1", id_)


def as_java_writes(number: int) -> str:
    """`Double.toString` of a whole number."""
    digits = str(abs(number))
    sign = "-" if number < 0 else ""
    if len(digits) <= 7:
        return f"{sign}{digits}.0"
    return f"{sign}{digits[0]}.{digits[1:].rstrip('0') or '0'}E{len(digits) - 1}"


@given(st.lists(st.integers(-(2**53) + 1, 2**53 - 1), min_size=1))
def test_ids_that_java_wrote_as_doubles_are_the_whole_numbers_that_they_were(ids):
    written = [as_java_writes(id_) for id_ in ids]
    assert without_point_zero(pa.array([*written, None]), "ids").to_pylist() == [*map(str, ids), None]


def test_what_only_looks_like_a_double_of_java_stays_or_is_refused():
    names = ["1E5", "3E12", "1.0e7", "10.5E7", "0.5E7", "2E", "1.0E7x"]
    assert without_point_zero(pa.array(names), "ids").to_pylist() == names
    for id_ in ("9.007199254740992E15", "1.23E300", "1.23456785E7", "1.05E1"):
        with pytest.raises(UserError, match=f"{id_}.*different ids are one there"):
            without_point_zero(pa.array(["1", id_]), "ids")


def test_numbers_with_decimal_commas_and_truth():
    assert as_number(pa.array(["3,5", "4", "1.234,5"]), "r", decimal_comma=True)[1].tolist() == [False, False, True]
    assert as_number(pa.array(["3,5"]), "r", decimal_comma=True)[0].tolist() == [3.5]
    for values in (pa.array([True, False, None]), pa.array(["True", "false", None])):
        numbers, bad = as_number(values, "r")
        np.testing.assert_array_equal(numbers, [1, 0, np.nan])
        assert not bad.any()
