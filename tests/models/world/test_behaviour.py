from dataclasses import replace

import numpy as np
import pytest

from models.world.behaviour import FRESH_DAYS, contains, on_shelves, pair_codes, shown, wishes
from models.world.catalogue import existing
from models.world.config import WorldConfig
from models.world.world import World

NOTHING = np.empty(0, dtype=np.int64)


@pytest.mark.parametrize("page_size", [8, 40])
def test_wishes_are_what_people_without_a_past_would_watch(page_size: int) -> None:
    """The short cut for other days' past, against looking up every place; on long pages items repeat."""
    world = World(WorldConfig(page_size=page_size, num_users=400, num_items=500))
    day = world.day(world.first_day + 3)
    watched = [pair_codes(p.user[p.watches], p.item[p.watches]) for _, p in shown(day, NOTHING)]
    assert np.array_equal(wishes(day), np.unique(np.concatenate(watched)))
    assert len(wishes(day)) > 100


def test_the_past_is_what_was_watched_and_not_forgotten(world: World) -> None:
    """Against walking through the days from the beginning, one pair at a time."""
    memory, today = world.config.rewatch_after_days, world.first_day + 9
    last: dict[int, int] = {}
    for day in range(world.first_day - memory, today):
        for code in wishes(world.day(day)).tolist():
            if code not in last or day - last[code] > memory:
                last[code] = day
    expected = sorted(code for code, day in last.items() if today - day <= memory)
    assert world.past(today).tolist() == expected


def test_shelves_hold_what_has_had_its_premiere_and_has_rights(world: World) -> None:
    today = world.first_day + 20
    catalogue = world.catalogue(today)
    items = set(world.day(today).shelves.items.tolist())
    for item in range(existing(catalogue, today)):
        expected = catalogue.premiere[item] <= today < catalogue.until[item] and catalogue.series[item] < 0
        assert (item in items) == expected


@pytest.mark.parametrize("freshness", [0.0, 4.0])
def test_premieres_are_shown_more_and_that_wears_off(world: World, freshness: float) -> None:
    config, today = replace(world.config, freshness=freshness), world.first_day + 20
    catalogue = world.catalogue(today)
    shelves = on_shelves(config, catalogue, today)
    age = today - catalogue.premiere[shelves.items]
    boost = shelves.appeal.sum(axis=0) / on_shelves(replace(config, freshness=0), catalogue, today).appeal.sum(axis=0)
    if not freshness:
        assert np.all(boost == 1)
    else:
        assert boost[age < 2].mean() > 3.5
        assert boost[age > 5 * FRESH_DAYS].max() < 1.1


def test_contains_finds_what_occurs() -> None:
    rng = np.random.default_rng(0)
    ordered, values = np.sort(rng.integers(1_000, size=300)), rng.integers(-5, 1_005, size=2_000)
    assert np.array_equal(contains(ordered, values), np.isin(values, ordered))
    assert not contains(NOTHING, values).any()
