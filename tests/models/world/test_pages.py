from dataclasses import replace

import numpy as np
import pytest

from models.world.behaviour import Day, shown
from models.world.config import WorldConfig
from models.world.pages import (
    KINDS,
    Kind,
    attraction,
    known_share,
    looks,
    most_attraction,
    open_pages,
    size_of,
    variants,
)
from models.world.world import World

NOTHING = np.empty(0, dtype=np.int64)


def _many_pages_of(world: World, user: int, copies: int) -> Day:
    """A day on which one person comes many times over."""
    return replace(world.day(world.first_day), present=np.full(copies, user))


@pytest.mark.parametrize("surface", [0, 1, 2], ids=[kind.surface for kind in KINDS])
def test_the_recorded_propensity_is_how_often_the_policy_does_it(world: World, surface: int) -> None:
    """Frequency of every item at every place over some 30,000 pages of one person, against what the log would say."""
    user = 3
    pages, places = list(shown(_many_pages_of(world, user, 12_000), NOTHING))[surface]
    num_pages, size = len(pages.row), pages.size
    cells = np.zeros((len(world.catalogue(world.first_day)), size))
    np.add.at(cells, (places.item, places.position - 1), 1)
    said = np.zeros(len(cells))
    said[places.item] = places.propensity
    expected = num_pages * said[:, None]
    often = said * num_pages > 20
    assert often.sum() > 15
    deviations = (cells - expected)[often] / np.sqrt(expected[often])
    assert np.abs(deviations).max() < 5
    assert deviations.std() == pytest.approx(1, abs=0.15)


def test_a_propensity_is_one_number_for_a_person_and_an_item(world: World) -> None:
    _, places = next(shown(_many_pages_of(world, 3, 500), NOTHING))
    for item in np.unique(places.item)[:50]:
        assert len(set(places.propensity[places.item == item])) == 1


def test_no_page_shows_an_item_twice(world: World) -> None:
    for pages, places in shown(_many_pages_of(world, 3, 2_000), NOTHING):
        assert len(np.unique(places.page * 10_000 + places.item)) == len(places.page)
        assert len(np.unique(places.page * 10_000 + places.position)) == len(places.page)
        assert places.position.min() == 1
        assert places.position.max() == pages.size


def test_what_was_watched_lately_leaves_its_place_empty(world: World) -> None:
    day = world.day(world.first_day)
    _, places = next(shown(day, NOTHING))
    past = np.unique(places.user[::3].astype(np.int64) << 32 | places.item[::3])
    _, after = next(shown(day, past))
    hidden = np.isin(places.user.astype(np.int64) << 32 | places.item, past)
    for name, column in vars(after).items():
        assert np.array_equal(column, getattr(places, name)[~hidden]), name


@pytest.mark.parametrize("bias", [0.0, 0.4, 0.7])
def test_places_are_looked_at_as_the_bias_says(bias: float) -> None:
    seen = looks(WorldConfig(position_bias=bias), 8)
    assert seen.mean() == pytest.approx(looks(WorldConfig(position_bias=0), 8).mean(), rel=0.1)
    assert seen[3] / seen[7] == pytest.approx(2**bias)


def test_arms_of_the_experiment_differ_by_the_lift_alone() -> None:
    config, users = WorldConfig(personalisation=0.4, experiment_lift=0.25), np.arange(10_000)
    home, browse, search = (known_share(config, kind, users) for kind in KINDS)
    arm = variants(config, users)
    assert arm.mean() == pytest.approx(0.5, abs=0.02)
    assert np.allclose(home, np.where(arm == 1, 0.65, 0.4))
    assert set(browse) == {0}
    assert set(search) == {1}


def test_pages_are_as_many_and_as_large_as_asked_for() -> None:
    config, users = WorldConfig(page_size=12), np.arange(20_000)
    kind = Kind("home", pages=0.5, size=0.5)
    pages = open_pages(config, kind, 739_000, users, np.full(20_000, 3.0))
    assert size_of(kind, config) == pages.size == pages.glance.shape[1] == 6
    assert len(pages.row) == pytest.approx(30_000, rel=0.03)
    assert np.array_equal(np.unique(pages.row), np.arange(len(pages.users)))


def test_whims_tell_people_of_one_taste_apart_only_where_asked_to() -> None:
    users, items, ones = np.arange(20_000), np.full(20_000, 5), np.ones(20_000)
    drawn = attraction(WorldConfig(idiosyncrasy=0.4), users, items, 0.3 * ones, ones)
    assert drawn.std() / drawn.mean() == pytest.approx(0.4 / np.sqrt(3), rel=0.03)
    assert drawn.max() <= most_attraction(WorldConfig(idiosyncrasy=0.4))
    assert np.array_equal(drawn, attraction(WorldConfig(idiosyncrasy=0.4), users, items, 0.3 * ones, ones))
    alike = attraction(WorldConfig(idiosyncrasy=0), users, items, 0.3 * ones, ones)
    assert alike.std() == pytest.approx(0, abs=1e-12)
    assert alike.mean() == pytest.approx(drawn.mean(), rel=0.01)
