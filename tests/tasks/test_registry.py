"""The registry as nights use it: an alias that follows the newest of them, also when several end at once."""

import multiprocessing

import pytest

from tasks.registry import MODEL, Registry

DATES = ["2026-03-01", "2026-03-02", "2026-03-03"]


@pytest.fixture
def registry(tmp_path):
    found = Registry(tmp_path)
    found.client.create_registered_model(MODEL)
    return found


def _release(registry, date):
    """A version of that night, whose files are nowhere, and the alias after it."""
    registry.client.create_model_version(MODEL, source=str(registry.home), tags={"nightjar.date": date})
    registry.follow("candidate")


def _release_at_once(home, date, barrier):
    registry = Registry(home)
    registry.versions()
    barrier.wait()
    _release(registry, date)


def _day_of_candidate(registry):
    (version,) = [v for v in registry.versions() if "candidate" in v.aliases]
    return version.tags["nightjar.date"]


def test_an_alias_follows_the_newest_night_and_never_goes_back(registry):
    for date, expected in (("02", "02"), ("01", "02"), ("04", "04"), ("03", "04")):
        _release(registry, f"2026-03-{date}")
        assert _day_of_candidate(registry) == f"2026-03-{expected}"


def test_the_same_night_again_takes_it(registry):
    for number in (1, 2):
        _release(registry, DATES[0])
        assert registry.aliases() == {"candidate": number}


def test_nights_that_end_at_once_leave_it_with_the_newest(registry):
    """MLflow refuses one of two that set a new alias at the same moment, and lets the later write win."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    nights = [context.Process(target=_release_at_once, args=(registry.home, date, barrier)) for date in DATES]
    for night in nights:
        night.start()
    for night in nights:
        night.join(120)
    assert [night.exitcode for night in nights] == [0] * 3
    assert _day_of_candidate(registry) == DATES[2]
