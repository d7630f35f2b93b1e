"""The registry as nights use it: an alias that follows the newest of them, also when several end at once."""

import multiprocessing

import pytest

from tasks.registry import MODEL, Registry

DATES = [f"2026-03-0{day}" for day in range(1, 7)]


@pytest.fixture
def registry(tmp_path):
    """A version for each of the dates, oldest first; their files are nowhere."""
    found = Registry(tmp_path)
    found.client.create_registered_model(MODEL)
    for date in DATES:
        found.client.create_model_version(MODEL, source=str(tmp_path), tags={"nightjar.date": date})
    return found


def _follow(home, number, barrier):
    registry = Registry(home)
    registry.versions()
    barrier.wait()
    registry.follow("candidate", number, DATES[number - 1])


def test_an_alias_follows_the_newest_night_and_never_goes_back(registry):
    for number, expected in ((2, 2), (1, 2), (4, 4), (3, 4)):
        registry.follow("candidate", number, DATES[number - 1])
        assert registry.aliases() == {"candidate": expected}


def test_the_same_night_again_takes_it(registry):
    again = registry.client.create_model_version(MODEL, source="x", tags={"nightjar.date": DATES[0]})
    registry.follow("candidate", 1, DATES[0])
    registry.follow("candidate", int(again.version), DATES[0])
    assert registry.aliases() == {"candidate": int(again.version)}


def test_nights_that_end_at_once_leave_it_with_the_newest(registry):
    """MLflow refuses one of two that set a new alias at the same moment, and lets the later write win."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(DATES))
    nights = [context.Process(target=_follow, args=(registry.home, n + 1, barrier)) for n in range(len(DATES))]
    for night in nights:
        night.start()
    for night in nights:
        night.join(120)
    assert [night.exitcode for night in nights] == [0] * len(DATES)
    assert registry.aliases() == {"candidate": len(DATES)}
