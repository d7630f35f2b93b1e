"""Filters against predicates on one user and one item; every one fails when it is off."""

import datetime

import numpy as np
import pytest

from benchmarks.made_bundle import DATE, table
from models.runtime.bloom import BloomFilter
from models.runtime.filters import Filters
from models.runtime.items import TIERS

END = datetime.datetime.fromisoformat(DATE).replace(tzinfo=datetime.UTC) + datetime.timedelta(days=1)


def is_seen(user, item, seen):
    return item["item_id"] in seen.get(user["user_id"], ())


def is_out_of_region(user, item, seen):
    return item["available_regions"] is not None and user["region"] not in item["available_regions"]


def is_above_the_tier(user, item, seen):
    return TIERS.index(item["content_tier"]) > TIERS.index(user["subscription_type"])


def is_too_mature(user, item, seen):
    return item["maturity_rating"] != "all" and int(item["maturity_rating"]) > user["age"]


def is_not_available(user, item, seen):
    return item["uploaded_at"] > END or (item["available_until"] is not None and item["available_until"] < END)


PREDICATES = {
    "seen": is_seen,
    "region": is_out_of_region,
    "tier": is_above_the_tier,
    "maturity": is_too_mature,
    "availability": is_not_available,
}


@pytest.fixture(scope="module")
def people(tables):
    return {row["user_id"]: row for row in tables["users"].to_pylist()}


@pytest.fixture(scope="module")
def things(tables):
    return {row["item_id"]: row for row in tables["items"].to_pylist()}


@pytest.fixture(scope="module")
def seen(tables):
    return {row["user_id"]: set(row["seen"]) for row in tables["histories"].to_pylist()}


def violations(result, predicate, people, things, seen):
    rows = zip(result.table["user_id"].to_pylist(), result.table["item_id"].to_pylist(), strict=True)
    return sum(predicate(people[user], things[item], seen) for user, item in rows)


@pytest.mark.parametrize("reason", Filters.REASONS)
def test_each_filter_keeps_its_items_away(reason, bundle, bundle_with, user_ids, people, things, seen):
    on, off = bundle.recommend(user_ids), bundle_with(**{f"filters__{reason}": False}).recommend(user_ids)
    assert violations(on, PREDICATES[reason], people, things, seen) == 0
    assert violations(off, PREDICATES[reason], people, things, seen) > 0
    assert on.removals[reason] > 0
    assert reason not in off.removals


def test_removals_are_counted_by_reason(bundle, user_ids, people, things, seen):
    rows = bundle.features.user_rows(np.array(user_ids))
    lists = np.concatenate(bundle.steps._lists(bundle.features.users, rows), axis=1)
    candidates = [(u, i) for u, found in enumerate(lists.tolist()) for i in set(found) - {-1}]
    expected = {
        reason: sum(predicate(people[u], things[i], seen) for u, i in candidates)
        for reason, predicate in PREDICATES.items()
    }
    assert bundle.recommend(user_ids).removals == expected


def test_what_is_not_known_of_a_user_is_taken_strictly_but_for_age(remade, tables, things):
    nobody = table("users", user_id=np.arange(40))
    result = remade(users=nobody).recommend([0, 39])
    for item in result.table["item_id"].to_pylist():
        assert things[item]["available_regions"] is None
        assert things[item]["content_tier"] == "free"
    ratings = {things[i]["maturity_rating"] for i in result.table["item_id"].to_pylist()}
    assert ratings & {"16", "18"}


def test_the_age_taken_for_unknown_users_can_be_lowered(remade, tables, things, pipeline):
    bundle = remade(users=table("users", user_id=np.arange(40)))
    young = bundle.with_pipeline({**pipeline, "filters": {**pipeline["filters"], "default_age": 7}})
    ratings = {things[i]["maturity_rating"] for i in young.recommend([0, 39]).table["item_id"].to_pylist()}
    assert ratings <= {"all", "7"}


def test_items_that_are_announced_wait_for_their_day(remade, tables):
    items = tables["items"].to_pylist()
    for row in items[:75]:
        row["uploaded_at"] = END + datetime.timedelta(seconds=1)
    later = table(
        "items",
        **{name: [r[name] for r in items] for name in items[0] if "_at" not in name and "_until" not in name},
        uploaded_at=[int(r["uploaded_at"].timestamp() * 1e6) for r in items],
    )
    assert min(remade(items=later).recommend(range(40)).table["item_id"].to_pylist()) >= 75


def test_a_bloom_filter_never_forgets_and_is_wrong_as_rarely_as_told():
    rng = np.random.default_rng(0)
    keys = rng.choice(2**40, 20_000, replace=False)
    for rate in (0.1, 0.01, 0.001):
        bloom = BloomFilter(keys[:10_000], rate)
        assert bloom.contains(keys[:10_000]).all()
        assert 0.5 * rate < bloom.contains(keys[10_000:]).mean() < 1.6 * rate
    assert len(bloom.bytes) < 10_000 * 2


def test_the_bloom_option_drops_all_that_was_seen_and_little_else(bundle, bundle_with, user_ids, people, things, seen):
    exact = bundle.recommend(user_ids)
    rare = bundle_with(filters__seen_filter="bloom", filters__bloom_false_positive_rate=1e-6).recommend(user_ids)
    often = bundle_with(filters__seen_filter="bloom", filters__bloom_false_positive_rate=0.3).recommend(user_ids)
    assert rare.table.equals(exact.table)
    assert violations(often, is_seen, people, things, seen) == 0
    assert often.removals["seen"] > 1.2 * exact.removals["seen"]
