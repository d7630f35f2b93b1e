"""Nights that cannot come to anything are refused before hours are spent on them."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from expectations.errors import UserError
from flows.config import NightlyConfig, WindowConfig, calendar
from flows.night.sources import open_source
from tasks.sources.config import EventColumns, ImpressionsFile, SourceConfig


@pytest.fixture
def source(tmp_path):
    """A log of ten days with a rating each hour, `stars(day)` on each day."""

    def write(stars, items=7):
        lines = [
            f"u{h % 5},i{h % items},2024-03-{d:02d}T{h:02d}:00,{stars(d)}" for d in range(1, 11) for h in range(24)
        ]
        (tmp_path / "log.csv").write_text("\n".join(["user,item,time,r", *lines]))
        columns = EventColumns(rating="r")
        log = SourceConfig(kind="table", path=str(tmp_path / "log.csv"), columns=columns, positive_min_rating=4)
        return open_source(NightlyConfig(source=log), tmp_path / "home")

    return write


DAYS = calendar(WindowConfig(train_days="all", judge_days=2, rank_days=3), date(2024, 3, 10), date(2024, 3, 1))


def test_days_with_positives_are_good(source):
    source(lambda day: 5).check(DAYS)
    source(lambda day: 4 if day in (1, 10) else 1).check(DAYS)


@pytest.mark.parametrize(
    ("stars", "items", "words"),
    [
        (
            lambda day: 5 if day < 9 else 1,
            7,
            r"none of the 48 events from 2024-03-09 to 2024-03-10 .*nothing can be judged",
        ),
        (
            lambda day: 1 if day < 9 else 5,
            7,
            r"none of the 192 events .*nothing to learn .*positive_min_rating below 4",
        ),
        (lambda day: 5, 1, r"have one item, so there is nothing to choose among"),
    ],
)
def test_nights_without_a_result_are_refused(stars, items, words, source):
    with pytest.raises(UserError, match=words):
        source(stars, items).check(DAYS)


def test_a_refusal_names_the_setting_that_the_events_come_from(source):
    log = source(lambda day: 5, 1)
    database = {"kind": "sql", "path": ""}
    for settings, name in (({}, "path"), ({**database, "table": "t"}, "table"), ({**database, "query": "q"}, "query")):
        config = replace(log.config, source=replace(log.config.source, **settings))
        with pytest.raises(UserError, match=rf"^source.{name}: the log and its items have one item"):
            replace(log, config=config).check(DAYS)


@pytest.mark.parametrize("name", ["item", "shown"])
def test_a_refusal_names_a_column_of_the_log_that_the_plays_come_from(name, source):
    log = source(lambda day: 5, 1)
    columns: dict[str, Any] = {name: "what"}
    shown = ImpressionsFile(path="shown.csv", clicked="hit", **columns)
    config = replace(log.config, source=SourceConfig(kind="table", impressions=shown))
    with pytest.raises(UserError, match=rf"is source.impressions.{name} the right column"):
        replace(log, config=config).check(DAYS)
