"""The stages of made data: what the night asks of them, through the lake and its audits."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from expectations.datasets import DATASETS
from models.world.config import WorldConfig
from models.world.tables import events_of, id_map_of, items_of, users_of
from models.world.world import World
from tasks.engine.lake import Artifact
from tasks.engine.running import Night
from tasks.engine.stage import Step, merged
from tasks.stages.generation import catalogue, events, oracle

CONFIG = WorldConfig(num_users=120, num_items=300)
WINDOW, CUT, JUDGED = ("2026-01-08", "2026-01-09"), "2026-01-09", ("2026-01-10", "2026-01-11")


def _events(*dates: str, config: WorldConfig = CONFIG) -> Step:
    known = catalogue(JUDGED[-1], config).made
    return merged((events(date, config) for date in dates), {"user_id": known.users, "item_id": known.items})


@pytest.fixture
def known(night: Night) -> Step:
    step = catalogue(JUDGED[-1], CONFIG)
    night.execute(step)
    return step


def _tables(night: Night, step: Step) -> dict[tuple[str, str], pa.Table]:
    return {(ref.dataset, ref.date): night.artifact(ref).table() for cell in step.cells for ref in cell.refs}


def test_stages_write_what_the_world_says(night: Night, known: Step) -> None:
    """And it passes every audit, by ids that the catalogue knows."""
    world, step = World(CONFIG), _events(*WINDOW)
    assert night.execute(step).warnings == ()
    for (dataset, date), table in _tables(night, step).items():
        assert table.schema == DATASETS[dataset].schema
        assert table == events_of(world, date)[dataset]
    written = _tables(night, known)
    assert written["users", JUDGED[-1]] == users_of(world, JUDGED[-1])
    assert written["items", JUDGED[-1]] == items_of(world, JUDGED[-1])
    assert written["id_map", JUDGED[-1]] == id_map_of(world, JUDGED[-1])


def test_a_day_made_alone_is_the_day_made_among_others(night: Night, known: Step) -> None:
    """Many days are made by several processes, one is made in this one: the digests must agree."""
    many = [f"2026-01-{n:02d}" for n in range(1, 9)]
    night.execute(_events(*many))
    digests = [night.manifest(ref)["content_digest"] for ref in _events(many[-1]).cells[0].refs]
    alone = _events(many[-1])
    night.force = frozenset({"events"})
    night.execute(alone)
    assert [night.manifest(ref)["content_digest"] for ref in alone.cells[0].refs] == digests


@pytest.mark.parametrize("change", [{"seed": 1}, {"drift": 0.1}, {"page_size": 9}])
def test_settings_decide_the_keys(change: dict[str, Any]) -> None:
    values = {"num_users": 120, "num_items": 300} | change
    assert _events(CUT).cells[0].key != _events(CUT, config=WorldConfig(**values)).cells[0].key
    assert _events(CUT).cells[0].key == _events(CUT).cells[0].key


def test_the_oracle_knows_the_window_and_the_cut(night: Night, known: Step) -> None:
    """Nothing that was watched, nobody and nothing that came later."""
    at_cut, window = catalogue(CUT, CONFIG), _events(*WINDOW)
    step = oracle(
        JUDGED[-1],
        first_day=JUDGED[0],
        last_day=JUDGED[1],
        k=25,
        watches=tuple(day.watches for day in window.by_date.values()),
        known=at_cut.made,
        config=CONFIG,
    )
    for each in (at_cut, window, step):
        night.execute(each)
    lists = night.artifact(step.made.ref).table()
    watched = pa.concat_tables(night.artifact(ref).table() for ref in window.refs("watches"))
    pairs = set(zip(watched["user_id"].to_pylist(), watched["item_id"].to_pylist(), strict=True))
    columns = (at_cut.made.users, "user_id"), (at_cut.made.items, "item_id")
    users, items = (_ids(night.artifact(planned.ref), column) for planned, column in columns)
    assert lists.num_rows > 10 * len(users)
    assert np.isin(lists["user_id"].to_numpy(), users).all()
    assert np.isin(lists["item_id"].to_numpy(), items).all()
    assert pairs.isdisjoint(zip(lists["user_id"].to_pylist(), lists["item_id"].to_pylist(), strict=True))
    assert lists["rank"].to_numpy().max() == 25


def _ids(artifact: Artifact, column: str) -> np.ndarray:
    return artifact.table([column])[column].to_numpy()
