import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from expectations.datasets import DATASETS
from models.world.events import ACTION_NAMES
from models.world.tables import events_of, items_of, users_of
from models.world.world import World

Log = dict[str, pa.Table]
IDS = {"impressions": "request_id", "watches": "watch_id", "actions": "action_id", "searches": "search_id"}


def _numbers(table: pa.Table, column: str) -> np.ndarray:
    return table[column].to_numpy(zero_copy_only=False)


@pytest.mark.parametrize("name", IDS)
def test_tables_are_as_declared(world: World, last_day: str, name: str) -> None:
    table = events_of(world, last_day)[name]
    assert table.schema == DATASETS[name].schema
    for column in DATASETS[name].columns:
        assert column.nullable or table[column.name].null_count == 0, column.name
    assert table.num_rows > 50


@pytest.mark.parametrize("name", IDS)
def test_no_event_is_outside_its_day(world: World, month: Log, name: str) -> None:
    table = month[name]
    midnight = (table["day"].to_numpy() + world.first_day - 719_163) * 86_400_000_000
    after = table["time"].cast(pa.int64()).to_numpy() - midnight
    assert after.min() >= 0
    assert after.max() < 86_400_000_000


@pytest.mark.parametrize("name", IDS)
def test_keys_are_unique_over_all_days(month: Log, name: str) -> None:
    keys = month[name].select(list(DATASETS[name].key))
    assert keys.group_by(keys.column_names).aggregate([]).num_rows == keys.num_rows


def test_everyone_and_everything_exists_on_the_day(world: World, month: Log, days: object) -> None:
    audience, catalogue = world.audience(world.first_day + 29), world.catalogue(world.first_day + 29)
    for name, column in [(n, "item_id") for n in ("impressions", "watches", "actions")] + [
        ("searches", "clicked_item_id")
    ]:
        table = month[name].filter(pc.is_valid(month[name][column]))
        day, user, item = (_numbers(table, c).astype(np.int64) for c in ("day", "user_id", column))
        assert np.all(audience.signup[user] <= world.first_day + day)
        assert np.all(catalogue.premiere[item] <= world.first_day + day)
        assert np.all(catalogue.until[item] > world.first_day + day)


def test_nobody_is_shown_what_they_may_not_watch(world: World, month: Log, last_day: str) -> None:
    """By the published tables, as a consumer's filters read them."""
    shown = month["impressions"].select(["user_id", "item_id"])
    users = users_of(world, last_day).select(["user_id", "age", "region", "subscription_type"])
    items = items_of(world, last_day).select(["item_id", "available_regions", "content_tier", "maturity_rating"])
    rows = shown.group_by(["user_id", "item_id"]).aggregate([]).join(users, "user_id").to_pylist()
    by_item = {row["item_id"]: row for row in items.to_pylist()}
    tiers = ["free", "basic", "premium"]
    for row in rows[::5]:
        item = by_item[row["item_id"]]
        assert item["available_regions"] is None or row["region"] in item["available_regions"]
        assert tiers.index(item["content_tier"]) <= tiers.index(row["subscription_type"])
        assert item["maturity_rating"] == "all" or int(item["maturity_rating"]) <= row["age"]


def test_a_watch_with_a_request_was_shown_in_it_before(month: Log) -> None:
    keys = ["request_id", "user_id", "item_id"]
    watches = month["watches"].filter(pc.is_valid(month["watches"]["request_id"]))
    shown = month["impressions"].select([*keys, "time"]).rename_columns([*keys, "shown"])
    found = watches.select([*keys, "time"]).join(shown, keys, join_type="left outer")
    assert found.num_rows == watches.num_rows
    assert found["shown"].null_count == 0
    assert pc.all(pc.greater(found["time"], found["shown"])).as_py()


def test_what_was_watched_without_a_request_is_a_next_episode(world: World, month: Log) -> None:
    alone = month["watches"].filter(pc.is_null(month["watches"]["request_id"]))
    catalogue = world.catalogue(world.first_day + 29)
    item = _numbers(alone, "item_id")
    assert len(item) > 500
    assert np.all(catalogue.series[item] < item)
    assert np.all(catalogue.series[item] >= 0)


def test_series_are_watched_in_order_from_the_beginning(world: World, month: Log) -> None:
    """Each episode right after the one before it, whenever the beginning lies in the month."""
    catalogue = world.catalogue(world.first_day + 29)
    watches = month["watches"].sort_by([("user_id", "ascending"), ("time", "ascending")])
    user, item = _numbers(watches, "user_id"), _numbers(watches, "item_id")
    series = catalogue.series[item]
    runs: dict[tuple[int, int], list[int]] = {}
    for u, s, i in zip(user[series >= 0], series[series >= 0], item[series >= 0], strict=True):
        runs.setdefault((u, s), []).append(i - s)
    steps = np.concatenate([np.diff(run) for run in runs.values()])
    # A step back is a new beginning, a month after the last one.
    assert (steps == 1).mean() > 0.98
    whole = [run for run in runs.values() if run[0] == 0]
    assert len(whole) > 0.7 * len(runs)
    assert max(len(run) for run in whole) >= 8


def test_clips_are_clicked_more_at_the_top_of_the_page_only_under_bias(log_of: object) -> None:
    def ratio(bias: float) -> float:
        log = log_of(range(0, 20, 4), position_bias=bias)  # type: ignore[operator]
        shown = log["impressions"].filter(pc.equal(log["impressions"]["surface"], "home"))
        clicked = np.isin(_codes(shown), _codes(log["watches"]))
        position = _numbers(shown, "position")
        return float(clicked[position <= 2].mean() / clicked[position >= 7].mean())

    assert ratio(0.8) > 2
    assert ratio(0) == pytest.approx(1, abs=0.15)


def _codes(table: pa.Table) -> np.ndarray:
    return table["request_id"].fill_null(0).to_numpy() * 100_000 + _numbers(table, "item_id")


def test_actions_go_with_what_happened(month: Log) -> None:
    actions, watches = month["actions"], month["watches"]
    assert set(pc.unique(actions["action"]).to_pylist()) == set(ACTION_NAMES)
    rates = actions.filter(pc.equal(actions["action"], "rate"))
    rated = watches.filter(pc.is_valid(watches["rating"]))
    key = [("user_id", "ascending"), ("item_id", "ascending"), ("day", "ascending")]
    assert rates.sort_by(key)["value"].to_pylist() == rated.sort_by(key)["rating"].to_pylist()
    assert (
        actions.filter(pc.not_equal(actions["action"], "rate"))["value"].null_count == actions.num_rows - rates.num_rows
    )
    complete = actions.filter(pc.equal(actions["action"], "complete"))
    assert complete.num_rows == pc.sum(pc.greater_equal(watches["completion"], 0.95)).as_py()
    browse = pc.equal(actions["action"], "browse")
    assert pc.all(pc.equal(browse, pc.is_null(actions["item_id"]))).as_py()


def test_searches_name_what_was_clicked(world: World, month: Log, last_day: str) -> None:
    searches = month["searches"].filter(pc.is_valid(month["searches"]["clicked_item_id"]))
    assert searches.num_rows > 300
    items = {
        row["item_id"]: row for row in items_of(world, last_day).select(["item_id", "title", "genres"]).to_pylist()
    }
    for row in searches.to_pylist():
        item = items[row["clicked_item_id"]]
        assert row["query"] == " ".join(row["tokens"])
        assert row["query"] in item["title"].lower() or row["tokens"] == item["genres"][:1]


def test_treatment_shows_more_to_the_taste_than_control(log_of: object, world: World) -> None:
    def fond(lift: float) -> list[float]:
        log = log_of(range(0, 12, 3), experiment_lift=lift, drift=0)  # type: ignore[operator]
        shown, made = log["impressions"], World(world.config)
        niche = made.catalogue(made.first_day + 12).niche[_numbers(shown, "item_id")]
        taste = made.audience(made.first_day + 12).tastes.one[_numbers(shown, "user_id"), niche]
        return [float(np.sqrt(taste[_arm(shown, arm)]).mean()) for arm in ("control", "treatment")]

    control, treatment = fond(0.4)
    assert treatment > 1.1 * control
    control, treatment = fond(0)
    assert treatment == pytest.approx(control, rel=0.07)


def _arm(shown: pa.Table, arm: str) -> np.ndarray:
    return pc.fill_null(pc.equal(shown["variant"], arm), False).to_numpy(zero_copy_only=False)
