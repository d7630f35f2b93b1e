"""Times in every form and type are the same moment; what is of two forms is told."""

import locale
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import UserError
from tasks.sources.time_formats import parse_format
from tasks.sources.times import FORMATS, AmbiguousTimes, as_micros, time_form

NOON = datetime(2021, 7, 13, 14, 5, 6, tzinfo=UTC)


def micros_of(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def read(values: pa.Array, form: str = "auto") -> list[int | None]:
    micros, bad = as_micros(values, time_form(values, form), "time")
    return [None if b else m for m, b in zip(micros.tolist(), bad.tolist(), strict=True)]


def every_type(seconds: int) -> dict[str, pa.Array]:
    """A moment of whole seconds as a column of every type, unit and spelling."""
    moment, text = datetime.fromtimestamp(seconds, UTC), str(seconds)
    made = {
        "int64": pa.array([seconds]),
        "uint64": pa.array([seconds], pa.uint64()),
        "float64": pa.array([float(seconds)]),
        "decimal128": pa.array([Decimal(seconds)], pa.decimal128(20, 0)),
        "decimal with a fraction": pa.array([Decimal(seconds)], pa.decimal128(20, 3)),
        "milliseconds": pa.array([seconds * 1000]),
        "microseconds": pa.array([seconds * 10**6]),
        "nanoseconds": pa.array([seconds * 10**9]),
        "string": pa.array([text]),
        "large_string": pa.array([text], pa.large_string()),
        "string_view": pa.array([text], pa.string_view()),
        "binary": pa.array([text.encode()]),
        "float text": pa.array([f"{seconds}.0"]),
        "fixed_size_binary": pa.array([text.encode().ljust(20, b"\0")], pa.binary(20)),
        "timestamp": pa.array([moment], pa.timestamp("ns", tz="Asia/Tokyo")),
        "iso": pa.array([moment.isoformat()]),
        "REES46": pa.array([f"{moment:%Y-%m-%d %H:%M:%S} UTC"]),
        "Python's log": pa.array([f"{moment:%Y-%m-%d %H:%M:%S},000"]),
        "one number": pa.array([int(f"{moment:%Y%m%d%H%M%S}")]),
        "one number as text": pa.array([f"{moment:%Y%m%d%H%M%S}"]),
        "Twitter": pa.array([f"{moment:%a %b %d %H:%M:%S +0000 %Y}"]),
        "Apache": pa.array([f"{moment:%d/%b/%Y:%H:%M:%S +0000}"]),
        "year first": pa.array([f"{moment:%Y/%m/%d %H:%M:%S}"]),
        "German": pa.array([f"{moment:%d.%m.%Y, %H:%M:%S}"]),
    }
    coded = {f"dictionary of {name}": a.dictionary_encode() for name, a in made.items() if name != "string_view"}
    return made | coded


@given(st.integers(min_value=400_000_000, max_value=1_900_000_000), st.sampled_from(list(every_type(10**9))))
def test_every_form_and_type_is_the_same_moment(seconds, name):
    assert read(every_type(seconds)[name]) == [seconds * 10**6]


@given(
    st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2060, 1, 1)),
    st.integers(min_value=-14 * 60, max_value=14 * 60),
    st.sampled_from(
        [f for f in FORMATS if "%S" in f and "%y" not in f and "%z" not in f] + ["%A, %d %B %Y %I:%M:%S %p"]
    ),
)
def test_a_format_reads_what_strftime_writes(moment, minutes, format_):
    zone = timezone(timedelta(minutes=minutes))
    aware = moment.replace(microsecond=0, tzinfo=zone)
    for text in (f"{aware:{format_} %z}", aware.astimezone(UTC).strftime(format_)):
        micros, bad = parse_format(pa.array([text]), f"{format_} %z" if text.endswith(f"{aware:%z}") else format_)
        assert (micros.tolist(), bad.tolist()) == ([micros_of(aware)], [False]), text


def test_fractions_and_decimal_commas_are_kept():
    quarter = micros_of(NOON) + 250_000
    texts = ["2021-07-13 14:05:06.25", "2021-07-13 14:05:06,250", "7/13/2021 2:05:06.25 PM", "2021-07-13T14:05:06.25Z"]
    for text in texts:
        assert read(pa.array([text])) == [quarter]
    assert as_micros(pa.array([f"{quarter // 10**6},25"]), "s", "time", decimal_comma=True)[0].tolist() == [quarter]


def test_formats_whatever_the_language():
    before = locale.setlocale(locale.LC_TIME)
    with suppress(locale.Error):
        locale.setlocale(locale.LC_TIME, "de_DE.UTF-8")
    try:
        assert read(pa.array(["13 Jul 2021 14:05:06"])) == [micros_of(NOON)]
        assert read(pa.array(["13-MAY-21"]), "%d-%b-%y") == [micros_of(datetime(2021, 5, 13, tzinfo=UTC))]
    finally:
        locale.setlocale(locale.LC_TIME, before)


@pytest.mark.parametrize(
    "text", ["13/13/2021", "2/30/2021", "0/1/2021", "1/1/2021 24:00:00", "1/1/2021 13:00 PM", "", None]
)
def test_what_no_calendar_has_is_none(text):
    for format_ in ("%m/%d/%Y", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M %p"):
        assert parse_format(pa.array([text], pa.string()), format_)[1].tolist() == [True]


@pytest.mark.parametrize("format_", ["%Q", "%H:%M", "%Y-%m-%d %Y", "%m/%d"])
def test_formats_that_are_none(format_):
    with pytest.raises(UserError, match=r"source\.time_format"):
        parse_format(pa.array(["x"]), format_)


def test_month_and_day_are_told_apart_by_all_of_a_column_or_not_at_all():
    assert time_form(pa.array(["11/15/2019 8:55:22 AM", "11/2/2019 8:55:22 AM"])) == "%m/%d/%Y %I:%M:%S %p"
    assert time_form(pa.array(["1/2/2019"] * 3000 + ["15/2/2019"])) == "%d/%m/%Y"
    with pytest.raises(UserError, match=r"'1/2/2019', which may be %m/%d/%Y or %d/%m/%Y.*source\.time_format"):
        time_form(pa.array(["1/2/2019", "3/4/2019"]))


@pytest.mark.parametrize("between", "/-.")
@pytest.mark.parametrize("clock", ["", " %H:%M:%S"])
@pytest.mark.parametrize("order", ["%y{}%m{}%d", "%d{}%m{}%y", "%m{}%d{}%y"])
def test_days_with_years_of_two_digits_are_read_in_their_own_order_or_asked_about(order, clock, between):
    format_ = order.format(between, between) + clock

    def form(year: int) -> str:
        days = [datetime(year, 7, 1) + timedelta(days=day, hours=3) for day in range(26)]
        return time_form(pa.array([f"{day:{format_}}" for day in days]))

    if (between, order[:2]) == (".", "%m"):
        return  # nobody writes these
    assert form(1997) == format_
    for year in (2005, 2021):
        try:
            assert form(year) == format_
        except AmbiguousTimes as error:
            assert format_ in str(error)


def test_words_are_no_time():
    words = pa.array(["now", "today", "Now", " TODAY ", "nat", "", None, "2021-07-13T14:05:06Z"])
    micros, bad = as_micros(words, "iso", "time")
    assert bad.tolist() == [True] * 7 + [False] and micros.tolist() == [0] * 7 + [micros_of(NOON)]


@given(st.lists(st.sampled_from([0, -1, -99]), max_size=40), st.lists(st.integers(1900, 2030), min_size=1))
def test_what_stands_for_no_year_does_not_decide_what_the_years_are(none, years):
    for values in (pa.array(years + none), pa.array([*map(str, years), *map(str, none)])):
        assert time_form(values, listed=True) == "%Y"


def test_dates_that_are_numbers():
    day = micros_of(datetime(2021, 7, 13, tzinfo=UTC))
    for values in (pa.array([20210713]), pa.array([20210713.0]), pa.array(["20210713"]), pa.array(["20210713.0"])):
        assert read(values) == [day]
    assert read(pa.array([20210713] * 20 + [20210732])) == [day] * 20 + [None]
    year = pa.array([1995, 2001, None])
    form = time_form(year, listed=True)
    assert form == "%Y" and as_micros(year, form, "year")[0].tolist()[0] == micros_of(datetime(1995, 1, 1, tzinfo=UTC))
    assert time_form(year) == "s", "an event of which only the year is known is none"


def test_short_floats_hold_no_times():
    with pytest.raises(UserError, match="32-bit floats, which tell times since 1970 only to two minutes"):
        as_micros(pa.array(np.array([1.6e9], dtype=np.float32)), "s", "time")


def test_two_units_in_one_file_are_told(parquet_source, look):
    seconds = [1_600_000_000 + n for n in range(4)]
    config = parquet_source({"user": [1, 2, 3, 4], "item": [1, 2, 3, 4], "time": [*seconds[:3], seconds[3] * 1000]})
    with pytest.raises(UserError, match=r"1 row with a time of another unit than s, in which the file begins \(row 4"):
        look(config)


def test_two_forms_in_one_file_are_told(table_source, look):
    config = table_source(
        "user,item,time\na,x,11/15/2019 8:55:22 AM\na,y,11/16/2019 8:55:22 AM\nb,y,2019-11-15 08:55:22\n"
    )
    with pytest.raises(UserError, match=r"an impossible time, not of the form %m/%d/%Y.*line 4"):
        look(config)


def test_each_file_may_have_its_own_unit_which_is_said(tmp_path, table_source, look):
    config = table_source("user,item,time\na,x,1600000000\n", "a.csv")
    table_source("user,item,time\nb,y,1600000000000\n", "b.csv")
    found = look(type(config)(kind="table", path=str(tmp_path / "source")))
    assert found.rows == {"2020-09-13": 2}
    assert found.notes == (
        "Times are of different forms, in each file of its own: ms (such as b.csv), s (such as a.csv).",
    )


def test_a_format_that_is_named_is_held_to(table_source, look):
    text = "user,item,time\na,x,03.04.2021 10:00\nb,y,05.06.2021 11:30\n"
    found = look(table_source(text, time_format="%m.%d.%Y %H:%M"))
    assert (found.first_day, found.last_day) == ("2021-03-04", "2021-05-06")
