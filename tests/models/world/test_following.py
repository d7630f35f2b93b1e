import numpy as np
import pytest

from models.world.audience import comes
from models.world.following import SPELL_DAYS, pace, series_lengths, spell
from models.world.world import World


def test_progress_equals_a_walk_through_the_days(world: World) -> None:
    """The closed form, against watching day by day from the first day of a spell."""
    users = np.arange(200)
    start, length = world.first_day + 12, 2 * SPELL_DAYS
    audience, speed = world.audience(start + length), pace(world.config, users)
    state: dict[int, tuple[int, int, int]] = {}  # user -> spell, days come, episodes watched
    checked = 0
    for day in range(start, start + length):
        told, number = world.progress(day, users), spell(world.config.seed, day, users)[0]
        came = comes(audience, world.config.seed, day, users)
        for user in users.tolist():
            first = spell(world.config.seed, day, users[user : user + 1])[1][0]
            if first == day:
                state[user] = (number[user], 0, 0)
            if user not in state:
                continue
            of, steps, watched = state[user]
            assert of == number[user]
            assert (told.steps[user], told.watched[user]) == (steps, watched)
            checked += 1
            if came[user]:
                most = min(told.length[user], told.limit[user])
                after = min(int(np.floor(speed[user] * (steps + 1))), most)
                assert told.upto[user] == after
                state[user] = (of, steps + 1, after)
    assert checked > 3_000


def test_nobody_begins_a_series_again_within_a_month(world: World) -> None:
    audience = world.audience(world.first_day + 29)
    catalogue, spell_now = world.catalogue(world.first_day + 29), (world.first_day + 29) // SPELL_DAYS
    plans = [world._plan(spell_now - back, audience, catalogue).series for back in range(3)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not np.any((plans[one] == plans[other]) & (plans[one] >= 0))


def test_series_are_chosen_by_taste(world: World) -> None:
    audience, catalogue = world.audience(world.first_day), world.catalogue(world.first_day)
    series = world._plan(world.first_day // SPELL_DAYS, audience, catalogue).series
    users = np.flatnonzero(series >= 0)
    chosen = audience.tastes.one[users, catalogue.niche[series[users]]].mean()
    shuffled = audience.tastes.one[users, np.random.default_rng(0).permutation(catalogue.niche[series[users]])].mean()
    assert chosen > 2 * shuffled


def test_lengths_count_the_episodes(world: World) -> None:
    catalogue = world.catalogue(world.first_day)
    lengths = series_lengths(catalogue)
    assert lengths.sum() == np.count_nonzero(catalogue.series >= 0)
    assert np.array_equal(np.flatnonzero(lengths), np.unique(catalogue.series[catalogue.series >= 0]))


@pytest.mark.parametrize("day", [0, 7, 23])
def test_a_spell_is_one_of_ten_days(world: World, day: int) -> None:
    users = np.arange(500)
    number, first = spell(0, world.first_day + day, users)
    assert np.all((first <= world.first_day + day) & (world.first_day + day < first + SPELL_DAYS))
    assert np.array_equal(spell(0, first[0], users[:1])[0], number[:1])
    assert spell(0, first[0] - 1, users[:1])[0] == number[0] - 1
