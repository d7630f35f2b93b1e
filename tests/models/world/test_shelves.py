import numpy as np
import pytest

from models.world.shelves import Rows, Shelves, permitted
from models.world.vocabulary import MATURITY_AGES, NICHES, REGIONS, TIERS
from models.world.world import World


@pytest.fixture(scope="module")
def shelves(world: World) -> Shelves:
    return world.day(world.first_day).shelves


@pytest.fixture(scope="module")
def rows(world: World, shelves: Shelves) -> Rows:
    audience = world.audience(world.first_day)
    users = np.arange(5)
    return Rows.of(shelves, audience.rights[users], audience.tastes.one[users])


def test_items_are_permitted_by_region_subscription_and_age(world: World) -> None:
    """Against one question at a time, in plain Python."""
    catalogue, items = world.catalogue(world.first_day), np.arange(0, 900, 7)
    found = permitted(catalogue, items)
    for region in range(len(REGIONS)):
        for tier in range(len(TIERS)):
            for grown in range(len(MATURITY_AGES)):
                for n, item in enumerate(items):
                    expected = (
                        bool(int(catalogue.regions[item]) & (1 << region))
                        and catalogue.tier[item] <= tier
                        and catalogue.maturity[item] <= grown
                    )
                    assert found[region, tier, grown, n] == expected


def test_a_draw_falls_on_each_item_as_likely_as_it_is_said_to(world: World, shelves: Shelves, rows: Rows) -> None:
    size = 400_000
    points = (np.arange(size) + 0.5) / size
    everything = np.arange(len(shelves.items))
    niche_of = world.catalogue(world.first_day).niche[shelves.items]
    for row in range(5):
        _, places = rows.draw(np.full(size, row), points)
        share = np.bincount(places, minlength=len(shelves.items)) / size
        said = rows.probability(np.full(len(everything), row), niche_of, everything)
        assert np.abs(share - said).max() < 3 / size
        assert said.sum() == pytest.approx(1)


def test_draws_name_the_niche_of_their_item(world: World, shelves: Shelves, rows: Rows) -> None:
    points = np.random.default_rng(0).random(50_000)
    niche, places = rows.draw(np.arange(50_000) % 5, points)
    assert np.array_equal(niche, world.catalogue(world.first_day).niche[shelves.items[places]])


def test_nothing_is_drawn_that_has_no_appeal(shelves: Shelves, rows: Rows) -> None:
    """Not even by points on the very edge of a niche."""
    for row in range(5):
        edges = np.concatenate([[0.0], rows.upto[row, :-1], [np.nextafter(1, 0)]])
        points = np.clip(np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges, 1)]), 0, np.nextafter(1, 0))
        _, places = rows.draw(np.full(len(points), row), points)
        assert np.all(shelves.appeal[rows.rights[row], places] > 0)


def test_a_taste_moves_its_niche_and_nothing_else(shelves: Shelves) -> None:
    taste = np.ones((2, NICHES), dtype=np.float32)
    taste[1, 7] = 5
    rows = Rows.of(shelves, np.array([44, 44]), taste)
    shares = np.diff(rows.upto, prepend=0, axis=1)
    others = np.arange(NICHES) != 7
    assert shares[1, 7] / shares[0, 7] == pytest.approx(5 * rows.total[0] / rows.total[1], rel=1e-5)
    assert np.allclose(shares[1, others] / shares[0, others], rows.total[0] / rows.total[1], rtol=1e-5)
