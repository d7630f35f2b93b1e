"""Every argument of every public method is checked before anything is done with it."""

import copy
import inspect
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from models.runtime import Bundle, BundleError
from models.runtime import settings as checks
from models.serving.config import PipelineConfig
from tests.models.conftest import NUM_ITEMS, NUM_USERS, changed

GOOD: dict[str, Any] = {
    "user_id": 3, "user_ids": [3, 5], "item_id": 7, "item_ids": [7, 8], "k": 5, "trace": True, "filtered": False,
    "attributes": {"age": 30}, "source": "als", "vectors": np.zeros((2, 16)), "allowed": [1, 2], "kind": "user",
    "external_ids": ["u1"], "ids": [3, 5], "strict": False,
}  # fmt: skip
"""A value of each argument, by its name."""

OWN = {"items", "pipeline", "watched"}
"""Arguments whose good value is a matter of the release."""

NUMBER: list[Any] = [
    None,
    True,
    "17",
    17.9,
    np.float64(17),
    float("nan"),
    [17],
    -1,
    10**9,
    10**500,
    np.int64(-3),
    b"1",
    {},
    3j,
]
LIST: list[Any] = [
    None, 17, "17", b"17", {"a": 1}, ["17"], [17.9], [True], [3, True], [None], [float("nan")], [-1], [10**30], [[3]],
    np.array([[3]]), np.array([3.0]), np.array([True]), np.array(3), pa.array([3, None]),
]  # fmt: skip
WORD = [None, 3, "nonsense", ["als"], True, b"als"]
FLAG = [None, 0, 1, "yes", float("nan"), [True]]
BAD: dict[str, list[Any]] = {
    "user_id": [*NUMBER, NUM_USERS], "item_id": [*NUMBER, NUM_ITEMS], "k": [n for n in NUMBER if n is not None] + [0],
    "user_ids": [*LIST, [NUM_USERS]], "item_ids": [*LIST, [NUM_ITEMS]], "trace": FLAG, "filtered": FLAG,
    "source": WORD, "kind": WORD, "ids": LIST, "strict": FLAG,
    "attributes": [3, "age", [("age", 3)], {"aeg": 3}, {3: 3}, {"age": -1}, {"age": 121}, {"age": 17.9},
                   {"age": float("inf")}, {"age": "30"}, {"age": True}, {"region": "Atlantis"}, {"region": 3},
                   {"subscription_type": "gold"}, {"signup_date": "2026-01-01"}, {"signup_date": 3},
                   {"gender": "female"}],
    "vectors": [None, 3, "x", [[1.0] * 15], [1.0] * 16, [[1.0] * 16, [1.0]], [["x"] * 16], [[True] * 16],
                [[float("nan")] * 16], [[float("inf")] * 16], [[1e300] * 16], [[1j] * 16], np.zeros((2, 2, 16))],
    "allowed": [value for value in LIST if value is not None and not (isinstance(value, list) and value[0] is True)
                and not (isinstance(value, np.ndarray) and value.dtype == bool)]
               + [[True], np.ones(NUM_ITEMS + 1, dtype=bool), np.ones((1, NUM_ITEMS), dtype=bool)],
    "external_ids": [None, 17, "u1", b"u1", {"u1": 1}, [17], [None], ["u1", 3.5], [b"u1"]],
    "pipeline": [3, "fusion", [], {}],
    "items": [None, 3, {}, pa.table({"title": ["x"]}), pa.table({"item_id": ["x"]})],
    "watched": [None, 3, [], pa.table({"external_user_id": ["u3"]}),
                *(pa.table({"external_user_id": ["u3", user], "external_item_ids": [["i7"], items]})
                  for user, items in (("u99", ["i7"]), ("u4", ["i999"]), (None, ["i7"]), ("u4", ["i7", None])))],
}  # fmt: skip
OPENING: dict[str, list[Any]] = {
    "threads": [0, -1, 10**6, 1.0, "2", True], "verify": [None, 1, "no"], "pipeline": [{}, [], 3],
    "path": [None, 3, ["x"]],
}  # fmt: skip
"""The same of what a bundle is opened with."""

NAMED = {"user_id": "user", "user_ids": "user", "item_id": "item", "item_ids": "item", "attributes": "attribute",
         "source": "source", "external_ids": "external_ids",
         "watched": "watched|u99|i999|external_ids"}  # fmt: skip
"""How the message calls an argument, where not by its name alone."""

METHODS = [name for name, _ in inspect.getmembers(Bundle, inspect.isfunction) if not name.startswith("_")]
ARGUMENTS = [
    (method, name) for method in METHODS for name in list(inspect.signature(getattr(Bundle, method)).parameters)[1:]
]


def ask(bundle, method, **changes):
    """A question with good arguments but for some."""
    names = list(inspect.signature(getattr(Bundle, method)).parameters)[1:]
    good = {name: GOOD[name] for name in names if name in GOOD}
    return getattr(bundle, method)(**{**good, **changes})


def test_there_is_a_good_and_a_bad_value_of_every_argument(bundle):
    assert {name for _, name in ARGUMENTS} <= {*GOOD, *OWN} and {name for _, name in ARGUMENTS} == set(BAD)
    for method in METHODS:
        names = inspect.signature(getattr(Bundle, method)).parameters
        if not OWN & set(names) and method != "watch":
            assert ask(bundle, method) is not None


@pytest.mark.parametrize(("method", "name"), ARGUMENTS, ids=lambda part: part)
def test_every_bad_argument_is_named_and_changes_nothing(method, name, path):
    fresh = Bundle(path, threads=1)
    before = fresh.recommend([3]).table
    for value in BAD[name]:
        with pytest.raises(BundleError, match=NAMED.get(name, name)) as refused:
            ask(fresh, method, **{name: value})
        assert len(str(refused.value)) < 700 and "\n" not in str(refused.value).split("allowed: columns")[0], value
    assert fresh.recommend([3]).table.equals(before)


def test_of_a_stream_too_before_it_is_read(bundle):
    with pytest.raises(BundleError, match="k is 10000"):
        bundle.stream([3], k=10_000)


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in OPENING.items() for value in values],
)
def test_of_opening_too(name, value, path):
    with pytest.raises(BundleError, match=name):
        Bundle(**{"path": path, name: value})


@pytest.mark.parametrize("method", ["recommend", "retrieve", "user_vectors"])
@pytest.mark.parametrize(
    "ids",
    [(3, 5), range(3, 6, 2), np.array([3, 5], np.int16), np.array([3, 5], np.uint64), [np.int32(3), 5],
     pd.Series([3, 5]), pa.array([3, 5]), pa.chunked_array([[3], [5]]), {3: 0, 5: 0}.keys(),
     np.array([3, 5], dtype=object)],
    ids=lambda ids: type(ids).__name__,
)  # fmt: skip
def test_whole_numbers_of_any_kind_are_ids(method, ids, bundle):
    def plain(found):
        return found.table.to_pylist() if method == "recommend" else np.asarray(found).tolist()

    expected = plain(ask(bundle, method, user_ids=[3, 5]))
    assert plain(ask(bundle, method, user_ids=ids)) == plain(ask(bundle, method, user_ids=iter([3, 5]))) == expected


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from([a for a in ARGUMENTS if a[1] != "pipeline"]), anything)
def test_whatever_is_given_is_answered_or_refused(bundle, argument, value):
    method, name = argument
    target = copy.copy(bundle)
    target._since = dict(bundle._since)  # `watch` is told something
    try:
        ask(target, method, **{name: value})
    except BundleError as error:
        assert str(error)


# --- attributes -------------------------------------------------------------------------------------------------------


def test_what_a_release_can_tell_apart_may_be_said_of_a_stranger(bundle, tables):
    for row in tables["users"].to_pylist():
        assert bundle.recommend_for_history([7], row, k=3).table.num_rows == 3
    nothing = bundle.recommend_for_history([7], k=8).table
    for missing in (None, float("nan"), np.float32("nan")):
        assert bundle.recommend_for_history([7], {"age": missing, "region": missing}, k=8).table.equals(nothing)
    thirty = bundle.recommend_for_history([7], {"age": 30}).table
    for same in (30.0, np.int8(30), np.float64(30)):
        assert bundle.recommend_for_history([7], {"age": same}).table.equals(thirty)


# --- settings ---------------------------------------------------------------------------------------------------------


def bounds(schema, definitions):
    """What a setting may be, of its JSON schema: kind, words, ends."""
    schema = definitions[schema["$ref"].split("/")[-1]] if "$ref" in schema else schema
    names = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    return schema["type"], tuple(schema.get("enum", ())), *(schema.get(name) for name in names)


def test_the_runtime_allows_what_the_config_allows():
    """Of a number its ends and what lies beyond, of words each, and no setting more or less."""
    schema = TypeAdapter(PipelineConfig).json_schema()
    definitions = schema["$defs"]
    sections = {"": (schema, checks._WHOLE_LIST), **{
        name: (definitions[f"{name.title()}Config"], section)
        for name, section in {**checks._SECTIONS, "source": checks._SOURCE}.items()
    }}  # fmt: skip
    for section, (declared, known) in sections.items():
        assert set(known) == set(declared["properties"]) - {"sources", *checks._SECTIONS}, section
        for name, check in known.items():
            kind, words, least, most, above, below = bounds(declared["properties"][name], definitions)
            step = 1 if kind == "integer" else 1e-9
            good = [*words, *(end for end in (least, most) if end is not None)]
            good += [end + side * step for end, side in ((above, 1), (below, -1)) if end is not None]
            bad = [end + side * step for end, side in ((least, -1), (most, 1)) if end is not None]
            bad += [end for end in (above, below) if end is not None] + [None, "nonsense", [], float("nan")]
            good += [True, False] if kind == "boolean" else []
            bad += [] if kind == "boolean" else [True]
            assert good, name
            for value in good:
                assert check(name, value) == value
            for value in bad:
                with pytest.raises(BundleError, match=name):
                    check(name, value)


def every_setting(pipeline, prefix=""):
    for name, value in pipeline.items():
        yield from every_setting(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [f"{prefix}{name}"]


def test_a_setting_of_the_wrong_kind_is_named(bundle, pipeline):
    for name in every_setting(pipeline):
        with pytest.raises(BundleError, match=name.replace(".", r"\.")):
            bundle.with_pipeline(changed(pipeline, {name: ["nonsense"]}))


def test_an_unknown_setting_and_a_missing_one_are_named(bundle, pipeline):
    for section in ("", "history", "filters", "rank", "order", "sources.als"):
        other = copy.deepcopy(pipeline)
        place = other
        for part in filter(None, section.split(".")):
            place = place[part]
        place["nonsense"] = 1
        with pytest.raises(BundleError, match=rf"a setting of {'.'.join(filter(None, ('pipeline', section)))} is 'no"):
            bundle.with_pipeline(other)
        del place["nonsense"]
        gone = {"": "k", "rank": "rank_constant"}.get(section) or sorted(place)[-1]
        del place[gone]
        with pytest.raises(BundleError, match=rf"{gone} is missing"):
            bundle.with_pipeline(other)
    with pytest.raises(BundleError, match="every num_candidates is 0"):
        bundle.with_pipeline(pipeline | {"sources": {}})


def test_a_pipeline_that_is_changed_afterwards_changes_nothing(bundle, pipeline):
    mine = json.loads(json.dumps(pipeline))
    other = bundle.with_pipeline(mine)
    expected = other.recommend([3]).table
    mine["k"], mine["order"]["mmr_lambda"] = 3, 0.1
    assert other.recommend([3]).table.equals(expected)


# --- what the length and the order of a question change ---------------------------------------------------------------


@pytest.mark.parametrize("by_relevance", [False, True])
@pytest.mark.parametrize("place", [0, 3, 8])
def test_a_short_list_is_the_head_of_the_pipelines(by_relevance, place, bundle_with, user_ids):
    bundle = bundle_with(
        order__by_relevance=by_relevance, order__exploration_position=place, order__fresh_quota=3, pool_size=10
    )
    whole = bundle.recommend(user_ids, trace=True).table
    for k in (1, 2, 5, 7):
        heads = whole.filter(np.asarray(whole["rank"]) <= k)
        assert bundle.recommend(user_ids, k, trace=True).table.equals(heads)
        listed = bundle.candidates(3, k)
        items = heads.filter(np.asarray(heads["user_id"]) == 3)["item_id"].to_pylist()
        assert listed["item_id"].to_pylist()[:k] == items and listed["rank"].to_pylist()[k:] == [0] * (len(listed) - k)


@given(st.lists(st.integers(0, NUM_USERS - 1), min_size=1, max_size=12))
def test_neither_order_nor_repeats_of_users_change_what_each_gets(bundle, users):
    found, scores = bundle.retrieve("towers", users, 5)
    table = bundle.recommend(users).table
    assert table["user_id"].to_pylist() == [user for user in sorted(set(users)) for _ in range(8)]
    for place, user in enumerate(users):
        alone = bundle.retrieve("towers", [user], 5)
        assert found[place].tolist() == alone[0][0].tolist()
        np.testing.assert_allclose(scores[place], alone[1][0], rtol=1e-5)
        mine = table.filter(np.asarray(table["user_id"]) == user)["item_id"]
        assert mine.to_pylist() == bundle.recommend([user]).table["item_id"].to_pylist()


@given(st.lists(st.integers(0, NUM_ITEMS - 1), max_size=8))
def test_a_history_counts_alike_whoever_has_it(bundle_with, history):
    """In its order and with its repeats: somebody new who has it, and somebody without one who has watched it since."""
    plain = bundle_with(sources__als__num_candidates=0, rank__ranker_weight=0.0, order__exploration_position=0)
    known = copy.copy(plain)
    known._since = {}
    known.watch(39, history)
    about = plain.users.slice(39, 1).to_pylist()[0]
    stranger = plain.recommend_for_history(history, about).table["item_id"].to_pylist()
    assert known.recommend([39]).table["item_id"].to_pylist() == stranger
