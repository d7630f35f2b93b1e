"""Times and numbers of any type and unit."""

from datetime import UTC, date, datetime, timezone

import numpy as np
import pyarrow as pa
import pytest

from tasks.sources.values import as_micros, as_number, as_text, time_unit

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
    unit = time_unit(values)
    micros, bad = as_micros(values, unit, "time")
    assert micros.tolist() == [SECONDS * 10**6]
    assert not bad.any()


def test_dates_begin_at_midnight_utc():
    midnight = int(datetime(2021, 7, 3, tzinfo=timezone.utc).timestamp()) * 10**6  # noqa: UP017
    for values in (pa.array([date(2021, 7, 3)]), pa.array(["2021-07-03"])):
        assert as_micros(values, time_unit(values), "time")[0].tolist() == [midnight]


def test_fractions_of_a_second_are_kept():
    for values in (pa.array([f"{SECONDS}.25"]), pa.array(["2021-07-03T04:05:06.25"])):
        assert as_micros(values, time_unit(values), "time")[0].tolist() == [SECONDS * 10**6 + 250_000]


def test_what_is_no_time_is_marked():
    values = pa.array(["2021-07-03", "2021-02-30", None, "soon", "2021-07-04"])
    assert as_micros(values, "iso", "time")[1].tolist() == [False, True, True, True, False]
    numbers = pa.array(["1500000000", "soon", None, "1e400", "nan"])
    assert as_micros(numbers, "s", "time")[1].tolist() == [False, True, True, True, True]


def test_numbers_beyond_any_date_do_not_wrap_around():
    micros, bad = as_micros(pa.array([2**62, 2**63 - 1]), "s", "time")
    assert (micros > 10**17).all() and not bad.any()


def test_a_unit_asked_for_is_not_guessed():
    assert time_unit(pa.array([SECONDS]), "ms") == "ms"
    assert time_unit(pa.array(["20210703"]), "iso") == "iso"
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
