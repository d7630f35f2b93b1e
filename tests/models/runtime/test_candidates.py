"""What became of every candidate: it must agree with the list, with the sources and with the filters."""

import numpy as np
import pytest

from models.runtime import BundleError


@pytest.mark.parametrize("user", [0, 3, 17, 39])
def test_the_listed_ones_are_the_list(bundle, user):
    listed = bundle.recommend([user]).table
    candidates = bundle.candidates(user)
    assert candidates["item_id"].to_pylist()[:8] == listed["item_id"].to_pylist()
    assert candidates["rank"].to_pylist() == [*range(1, 9), *[0] * (len(candidates) - 8)]
    np.testing.assert_allclose(candidates["relevance"].to_numpy()[:8], listed["score"].to_numpy(), rtol=1e-6)


def test_places_are_those_of_the_sources_before_any_filter(bundle):
    candidates = bundle.candidates(5)
    by_item = {row["item_id"]: row for row in candidates.to_pylist()}
    found = bundle.retrieve("als", [5], 40, filtered=False)[0][0]
    places = {item: row["place_in_als"] for item, row in by_item.items() if row["place_in_als"]}
    assert sorted(places.values()) == [*range(1, len(places) + 1)]
    assert set(places) <= set(found.tolist())
    assert all(any(v for n, v in row.items() if n.startswith("place_in_")) for row in by_item.values())


def test_what_a_filter_removed_has_no_score_and_is_in_no_list(bundle):
    for user in range(10):
        for row in bundle.candidates(user).to_pylist():
            removed = [name for name, value in row.items() if name.startswith("removed_by_") and value]
            assert not removed or (row["relevance"] is None and row["rank"] == 0)


def test_reasons_are_the_filters_own(bundle):
    candidates = bundle.candidates(3)
    seen = set(bundle.features.users.seen.values[slice(*bundle.features.users.seen.offsets[[3, 4]])].tolist())
    removed = candidates.filter(candidates["removed_by_seen"])["item_id"].to_pylist()
    assert set(removed) == seen & set(candidates["item_id"].to_pylist())
    assert removed


def test_a_filter_that_is_off_has_no_column(bundle_with):
    assert "removed_by_seen" not in bundle_with(filters__seen=False).candidates(3).column_names


def test_the_order_is_listed_then_relevance_then_retrieval(bundle):
    relevance = bundle.candidates(7).slice(8)["relevance"].to_pylist()
    scored = [r for r in relevance if r is not None]
    assert scored == sorted(scored, reverse=True)
    assert relevance[: len(scored)] == scored


def test_somebody_unknown_has_candidates_too(bundle):
    history = [3, 4, 5]
    listed = bundle.recommend_for_history(history, {"age": 30}).table["item_id"].to_pylist()
    candidates = bundle.candidates_for_history(history, {"age": 30})
    assert candidates["item_id"].to_pylist()[: len(listed)] == listed
    assert set(candidates.filter(candidates["removed_by_seen"])["item_id"].to_pylist()) <= set(history)


def test_who_watched_since_the_night_has_the_candidates_of_now(path):
    from models.runtime import Bundle

    bundle = Bundle(path)
    bundle.watch(3, [7, 8])
    assert bundle.candidates(3)["item_id"].to_pylist()[:8] == bundle.recommend([3]).table["item_id"].to_pylist()


def test_an_unknown_user_is_refused(bundle):
    with pytest.raises(BundleError, match="user 4000 is not among"):
        bundle.candidates(4000)
