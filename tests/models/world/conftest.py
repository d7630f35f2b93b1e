"""Worlds to look at, and days of them put together."""

from collections.abc import Callable, Sequence
from datetime import date as Date
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.world.config import WorldConfig
from models.world.tables import events_of
from models.world.world import World

Log = dict[str, pa.Table]


def _days(world: World, numbers: Sequence[int]) -> list[str]:
    return [Date.fromordinal(world.first_day + n).isoformat() for n in numbers]


def _log(world: World, numbers: Sequence[int]) -> Log:
    """Events of some days (counted from the first), each table with the day's number in `day`."""
    made = [events_of(world, day) for day in _days(world, numbers)]
    return {
        name: pa.concat_tables(
            [
                e[name].append_column("day", pa.array(np.full(e[name].num_rows, n)))
                for n, e in zip(numbers, made, strict=True)
            ]
        )
        for name in made[0]
    }


@pytest.fixture(scope="session")
def days() -> Callable[[World, Sequence[int]], list[str]]:
    return _days


@pytest.fixture(scope="session")
def log_of() -> Callable[..., Log]:
    """`log_of(numbers, **settings)`: events of some days of a world with other settings."""

    def make(numbers: Sequence[int], **settings: Any) -> Log:
        return _log(World(WorldConfig(**settings)), numbers)

    return make


@pytest.fixture(scope="session")
def world() -> World:
    return World(WorldConfig())


@pytest.fixture(scope="session")
def month(world: World) -> Log:
    """The demo's thirty days."""
    return _log(world, range(30))


@pytest.fixture(scope="session")
def last_day(world: World) -> str:
    return (Date.fromisoformat(world.config.first_day) + timedelta(days=29)).isoformat()
