"""Answers are the bundle's own, by outside ids; what cannot be answered is said in one sentence."""

import pytest

from expectations.errors import UserError
from explorer.people import about, anyone, attributes_of, choices
from explorer.requests import CUT, LISTED, LOWER, Question, ask, fate, known_items, places
from explorer.tabs.recommend import show


def test_a_known_user_gets_what_the_bundle_recommends(release):
    name = anyone(release, seed=0)
    answer = ask(release, Question(user=name), candidates=True)
    own = release.bundle.recommend([release.users[name]]).table["item_id"].to_pylist()
    assert answer.items == own and not answer.note
    assert [c["item_id"] for c in answer.candidates if fate(c) == LISTED] == own
    assert answer.history == [w.item_id for w in release.history(release.users[name])][::-1]


def test_a_user_nobody_knows_gets_what_somebody_new_gets(release):
    answer = ask(release, Question(user="nobody"))
    assert answer.items == release.bundle.recommend_for_history([]).table["item_id"].to_pylist()
    assert answer.note.startswith("nobody is not known to this release")


def test_a_history_is_told_by_ids_and_titles_in_any_case(release):
    (first, a), (_, b) = list(release.items.items())[:2]
    assert known_items(release, f"{first}, {release.title(b).upper()}\n") == [a, b]
    assert ask(release, Question(history=first)).items == (
        release.bundle.recommend_for_history([a]).table["item_id"].to_pylist()
    )


def test_an_unknown_item_is_named_with_the_nearest(release):
    title = release.title(next(iter(release.items.values())))
    with pytest.raises(UserError, match=f"no item '{title}x' in release 3, did you mean '{title.casefold()}'"):
        known_items(release, title + "x")


def test_an_attribute_that_does_not_fit_is_a_message(release):
    with pytest.raises(UserError, match=r"attribute 'age' is .* allowed: a whole number from 0 to 120"):
        ask(release, Question(attributes={"age": 10**9}))


def test_fates_in_words():
    row = {"rank": 0, "relevance": 0.5, "removed_by_seen": False, "removed_by_tier": False}
    assert fate(row) == LOWER
    assert fate({**row, "rank": 3}) == LISTED
    assert fate({**row, "relevance": None}) == CUT
    assert fate({**row, "relevance": None, "removed_by_seen": True, "removed_by_tier": True}) == "seen, tier"
    assert places({"place_in_als": 3, "place_in_towers": 0}, "place_in_") == {"als": 3}


def test_people_to_pick_from_are_all_that_are_known(release):
    names = [name for _, name in choices(release)]
    assert set(names) == set(release.users) and len(names) == 40
    assert about(release, names[0]) and about(release, "nobody") == []
    assert anyone(release, 5) == anyone(release, 5)


def test_a_form_says_nothing_by_zero_and_by_empty_words():
    assert attributes_of(("age", "region", "gender"), (0.0, "DE", "")) == {"region": "DE"}
    assert attributes_of(("age", "region"), (34.0, None)) == {"age": 34}


def test_titles_are_text_whatever_they_say(release, monkeypatch):
    monkeypatch.setattr(release, "title", lambda item: "<script>alert(1)</script>")
    assert "<script>" not in "".join(show(release, Question(user=anyone(release, 0))))
