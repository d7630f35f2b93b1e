"""The stages that make data: a catalogue of people and titles, the events of each day, and the oracle's lists."""

from functools import lru_cache
from typing import TYPE_CHECKING

from models.world.config import WorldConfig
from tasks.engine.lake import Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import stage
from tasks.stages.groups import Events, Known

if TYPE_CHECKING:
    from models.world.world import World


@stage(produces=Known)
def catalogue(out: Outputs, config: WorldConfig) -> None:
    """Users, items and outside ids as known at the end of the day."""
    from models.world.tables import id_map_of, items_of, users_of

    world = _world(config)
    out["users"].write(users_of(world, out.date))
    out["items"].write(items_of(world, out.date))
    out["id_map"].write(id_map_of(world, out.date))


@stage(produces=Events, memory_gib=1.5, threads=2, parallel=True)
def events(out: Outputs, config: WorldConfig) -> None:
    """Everything that happened on the day."""
    from models.world.tables import events_of

    for name, table in events_of(_world(config), out.date).items():
        out[name].write(table)


@stage(produces="oracle", memory_gib=1.0)
def oracle(
    out: Outputs,
    first_day: str,
    last_day: str,
    k: int,
    watches: tuple[Artifact, ...],
    known: Known,
    config: WorldConfig,
) -> None:
    """The best lists for the judged days under the planted tastes.

    Args:
        first_day, last_day: the judged days.
        watches: the window, for what each user has seen.
        known: who gets a list, and what may be on it.
    """
    import numpy as np
    import pyarrow as pa

    from models.world.tables import oracle_of

    seen = pa.concat_tables([day.table(["user_id", "item_id"]) for day in watches])
    columns = (known.users, "user_id"), (known.items, "item_id")
    user_ids, item_ids = (np.sort(some.table([name])[name].to_numpy()) for some, name in columns)
    pairs = seen["user_id"].to_numpy(), seen["item_id"].to_numpy()
    out["oracle"].write(oracle_of(_world(config), first_day, last_day, user_ids, item_ids, pairs, k))


@lru_cache(maxsize=1)
def _world(config: WorldConfig) -> "World":
    """One world a process: days asked for in turn share what was worked out before."""
    from models.world.world import World

    return World(config)
