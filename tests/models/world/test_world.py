import hashlib
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from expectations.datasets import DATASETS
from expectations.errors import UserError
from models.world.behaviour import pair_codes
from models.world.config import WorldConfig
from models.world.tables import events_of, items_of, oracle_of, users_of
from models.world.world import World

Log = dict[str, pa.Table]
LogOf = Callable[..., Log]

SMALL: dict[str, Any] = {"num_users": 300, "num_items": 600}
DIGEST = """
import hashlib
from models.world.config import WorldConfig
from models.world.tables import events_of
from models.world.world import World
tables = events_of(World(WorldConfig(num_users=300, num_items=600)), "2026-01-12")
print(hashlib.sha256(repr([t.to_pylist() for t in tables.values()]).encode()).hexdigest())
"""


def _pairs(table: pa.Table) -> np.ndarray:
    return pair_codes(table["user_id"].to_numpy(), table["item_id"].to_numpy())


def test_days_are_the_same_in_any_order(days: Callable[..., list[str]]) -> None:
    """Also after a look far ahead, which makes more people and titles and another past."""
    forwards, backwards = World(WorldConfig(**SMALL)), World(WorldConfig(**SMALL))
    asked = days(forwards, [0, 1, 9, 66])
    first = {day: events_of(forwards, day) for day in asked}
    events_of(backwards, days(backwards, [200])[0])
    for day in reversed(asked):
        assert events_of(backwards, day) == first[day]
        assert users_of(backwards, day) == users_of(forwards, day)
        assert items_of(backwards, day) == items_of(forwards, day)


def test_days_are_the_same_in_another_process() -> None:
    tables = events_of(World(WorldConfig(**SMALL)), "2026-01-12")
    expected = hashlib.sha256(repr([t.to_pylist() for t in tables.values()]).encode()).hexdigest()
    ran = subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == expected


def test_days_are_the_same_side_by_side(days: Callable[..., list[str]]) -> None:
    alone, shared = World(WorldConfig(**SMALL)), World(WorldConfig(**SMALL))
    asked = days(alone, [40, 3, 70, 12, 41, 5])
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda day: events_of(shared, day), asked))
    assert together == [events_of(alone, day) for day in asked]


def test_another_seed_is_another_service(last_day: str) -> None:
    one, other = (World(WorldConfig(seed=seed, **SMALL)) for seed in (0, 1))
    assert items_of(one, last_day)["title"] != items_of(other, last_day)["title"]
    assert users_of(one, last_day)["age"] != users_of(other, last_day)["age"]


@pytest.mark.parametrize(
    "settings",
    [
        {"num_users": 10, "num_items": 100},
        {"num_users": 50, "num_items": 100, "cold_user_share": 0.0, "cold_item_share": 0.0, "page_size": 50},
        {"num_users": 200, "num_items": 150, "cold_user_share": 0.15, "cold_item_share": 0.3, "new_item_share": 0.02},
        {"num_users": 50, "watches_per_user_day": 0.001, "taste_strength": 5.0, "popularity_exponent": 2.0},
        {"num_users": 50, "watches_per_user_day": 20.0, "series_share": 0.5, "num_days": 365, "position_bias": 2.0},
        {"num_users": 50, "expiring_item_share": 1.0, "exploration": 0.0, "rewatch_after_days": 100},
    ],
)
def test_extreme_services_work(settings: dict[str, Any], days: Callable[..., list[str]]) -> None:
    """The smallest, and those with every knob at an end: tables as declared, an oracle for everyone."""
    world = World(WorldConfig(**settings))
    for day in days(world, [0, 35]):
        for name, table in events_of(world, day).items():
            table.validate(full=True)
            assert table.schema == DATASETS[name].schema
    first, last = days(world, [36, 37])
    users, items = np.arange(users_of(world, first).num_rows), np.arange(items_of(world, first).num_rows)
    none = np.empty(0, dtype=np.int32)
    lists = oracle_of(world, first, last, users, items, (none, none), k=10)
    assert lists.num_rows > 0
    assert np.isfinite(lists["score"].to_numpy()).all()


@pytest.mark.parametrize("day", ["2025-12-31", "2026-02-30", "soon"])
def test_a_day_that_is_none_is_refused(world: World, day: str) -> None:
    with pytest.raises(UserError, match=day):
        events_of(world, day)


def test_the_demo_is_as_large_as_promised(world: World, month: Log) -> None:
    watches = month["watches"].num_rows
    assert watches == pytest.approx(50_000, rel=0.1)
    assert month["impressions"].num_rows < 10 * watches
    halved = events_of(World(WorldConfig(watches_per_user_day=1.1)), "2026-01-20")["watches"].num_rows
    assert halved == pytest.approx(events_of(world, "2026-01-20")["watches"].num_rows / 2, rel=0.2)


def test_popularity_is_a_power_law(month: Log, log_of: LogOf) -> None:
    def fit(log: Log) -> tuple[float, float]:
        alone = log["watches"].filter(pc.is_valid(log["watches"]["request_id"]))
        counts = np.sort(np.bincount(alone["item_id"].to_numpy()))[::-1]
        places = np.unique(np.geomspace(10, 500, 40).astype(int))
        x, y = np.log(places), np.log(counts[places - 1])
        return float(np.polyfit(x, y, 1)[0]), float(np.corrcoef(x, y)[0, 1] ** 2)

    slope, explained = fit(month)
    assert -0.8 < slope < -0.45
    assert explained > 0.97
    flat, _ = fit(log_of(range(30), popularity_exponent=0.0))
    steep, _ = fit(log_of(range(30), popularity_exponent=1.5))
    assert steep < slope - 0.1 < flat - 0.25


def test_hardly_anything_is_watched_twice_unless_forgotten_at_once(month: Log, log_of: LogOf) -> None:
    def repeated(log: Log) -> float:
        codes = _pairs(log["watches"])
        return 1 - len(np.unique(codes)) / len(codes)

    assert repeated(month) < 0.01
    assert repeated(log_of(range(12), rewatch_after_days=0)) > 0.1


def test_cold_users_and_items_are_judged_too(world: World, month: Log, days: Callable[..., list[str]]) -> None:
    """At the cut of the demo's night: a tenth of the users, and items nobody had watched, some soon liked."""
    cut = days(world, [27])[0]
    positives = month["watches"].filter(month["watches"]["positive"])
    day, user, item = (positives[c].to_numpy() for c in ("day", "user_id", "item_id"))
    num_users, num_items = users_of(world, cut).num_rows, items_of(world, cut).num_rows
    signup = world.audience(world.first_day + 27).signup[:num_users]
    cold_user = ~np.isin(np.arange(num_users), user[day <= 27]) | (signup > world.first_day + 24)
    assert cold_user.mean() == pytest.approx(0.10, abs=0.03)
    cold_item = ~np.isin(
        np.arange(num_items), month["watches"]["item_id"].to_numpy()[month["watches"]["day"].to_numpy() <= 27]
    )
    assert 0.04 < cold_item.mean() < 0.2
    judged = (day > 27) & (user < num_users) & (item < num_items)
    assert np.count_nonzero(cold_user[user[judged]]) > 30
    assert np.count_nonzero(cold_item[item[judged]]) > 10


def test_every_reason_to_filter_occurs_among_what_is_popular(world: World, month: Log, last_day: str) -> None:
    counts = np.bincount(month["watches"]["item_id"].to_numpy(), minlength=items_of(world, last_day).num_rows)
    popular = items_of(world, last_day).take(np.argsort(-counts)[:500])
    cut = pa.scalar(np.datetime64("2026-01-29", "us")).cast(pa.timestamp("us", tz="UTC"))
    reasons = {
        "region": pc.is_valid(popular["available_regions"]),
        "tier": pc.not_equal(popular["content_tier"], "free"),
        "maturity": pc.equal(popular["maturity_rating"], "18"),
        "availability": pc.fill_null(pc.less(popular["available_until"], cut), False),
    }
    for reason, occurs in reasons.items():
        assert pc.sum(occurs).as_py() >= 3, reason
    assert pc.min(users_of(world, last_day)["age"]).as_py() < 16


def _fond(world: World, log: Log, name: str, on: int) -> np.ndarray:
    """Taste weight, as of a day, of each row's item to its user."""
    users, items = (log[name][c].to_numpy() for c in ("user_id", "item_id"))
    taste = world.audience(on).tastes.on(on, np.arange(world.user_growth.by(on)), world.config)
    return taste[users, world.catalogue(on).niche[items]]


def test_what_is_seen_is_no_fair_sample_of_what_there_is(log_of: LogOf) -> None:
    """Missing not at random: pages follow tastes, watches more so, and only as far as people have any."""

    def weights(**settings: Any) -> list[float]:
        world, log = World(WorldConfig(**settings)), log_of([0, 4, 8], **settings)
        fond = (_fond(world, log, name, world.first_day + 8) for name in ("impressions", "watches"))
        return [float(each.mean()) for each in fond]

    shown, watched = weights()
    assert watched > 1.3 * shown > 2
    shown, watched = weights(personalisation=0.0, experiment_lift=0.0)
    assert watched > 1.5 * shown
    unpersonal = shown
    shown, watched = weights(taste_strength=0.0)
    assert (shown, watched) == (pytest.approx(1), pytest.approx(1))
    assert unpersonal < 2


def test_tastes_of_the_first_days_grow_old_only_where_they_drift(log_of: LogOf) -> None:
    def kept(drift: float) -> float:
        settings: dict[str, Any] = {"drift": drift, "drift_period_days": 56, "new_item_share": 0.001}
        world, log = World(WorldConfig(**settings)), log_of([0, 1, 2, 27, 28, 29], **settings)
        known = log["watches"]["user_id"].to_numpy() < world.user_growth.by(world.first_day)
        log = {"watches": log["watches"].filter(pa.array(known))}
        then = np.minimum(_fond(world, log, "watches", world.first_day), 10)
        late = log["watches"]["day"].to_numpy() > 20
        return float(then[late].mean() / then[~late].mean())

    assert kept(1.0) < 0.8
    assert kept(0.0) == pytest.approx(1, abs=0.1)


def test_series_are_followed_as_much_as_asked_for(world: World, log_of: LogOf) -> None:
    catalogue = world.catalogue(world.first_day + 20)

    def share(asked: float) -> float:
        items = log_of(range(0, 20, 3), series_share=asked)["watches"]["item_id"].to_numpy()
        return float((catalogue.series[items] >= 0).mean())

    assert share(0.0) == 0
    assert share(0.2) == pytest.approx(0.2, abs=0.05)


def test_exploration_shows_what_appeals_to_few(log_of: LogOf) -> None:
    def share_of_the_tail(exploration: float) -> float:
        items = log_of(range(3), exploration=exploration)["impressions"]["item_id"].to_numpy()
        counts = np.sort(np.unique(items, return_counts=True)[1])
        return float(counts[: len(counts) // 2].sum() / counts.sum())

    assert share_of_the_tail(1.0) > 1.5 * share_of_the_tail(0.0)


def test_the_service_lives_on_long_after_the_days_it_was_planned_for(days: Callable[..., list[str]]) -> None:
    """The schedule runs on real dates: a night may be about any day after the first ones."""
    world = World(WorldConfig(**SMALL))
    early, late = days(world, [29, 330])
    watches = [events_of(world, day)["watches"] for day in (early, late)]
    assert watches[1].num_rows > watches[0].num_rows > 100
    per_account = [
        len(w["user_id"].unique()) / users_of(world, d).num_rows for w, d in zip(watches, (early, late), strict=True)
    ]
    assert per_account[1] > 0.5 * per_account[0]
