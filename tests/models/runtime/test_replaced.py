"""A pull may put another release into the folder of one that is open: every answer is still of the first."""

import shutil
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.made_bundle import foundation_tables, make_bundle, make_tables
from models.runtime import Bundle, BundleError
from models.runtime.lists import Result
from tests.models.runtime.test_arguments import METHODS, ask

USERS = [0, 3, 39]


def told(answer: Any) -> Any:
    """An answer as plain values."""
    if isinstance(answer, Bundle):
        return told(answer.recommend(USERS))
    if isinstance(answer, Result):
        return answer.table.to_pydict(), answer.removals, answer.sources
    if isinstance(answer, pa.Table):
        return answer.to_pydict()
    if isinstance(answer, np.ndarray | pa.Array):
        return answer.tolist()
    if hasattr(answer, "__next__") or isinstance(answer, tuple):
        return [told(one) for one in answer]
    return answer


def answers(bundle: Bundle) -> dict[str, Any]:
    """Everything that can be asked, before and after users have watched something."""
    found = {}
    for moment in ("before", "after"):
        own = {"embed": {"items": bundle.items}, "with_pipeline": {"pipeline": bundle.pipeline | {"k": 4}}}
        own["replay"] = {"watched": bundle.watched_since()}
        for method in METHODS:
            found[f"{moment} {method}"] = told(ask(bundle, method, **own.get(method, {})))
        for name in (n for n, value in vars(Bundle).items() if isinstance(value, property)):
            found[f"{moment} {name}"] = told(getattr(bundle, name))
        for user in USERS:  # each has watched, been shown and searched for something else, or nothing
            bundle.watch(user, [7, 8])
        found[f"{moment} watched"] = [told(bundle.recommend(USERS, trace=True)), told(bundle.candidates(3))]
    return found


@pytest.fixture(scope="module")
def other(tmp_path_factory, pipeline):
    """A release of the same form about other users and items."""
    tables = make_tables(40, 150, seed=5) | foundation_tables(40, 150, seed=5)
    return make_bundle(tmp_path_factory.mktemp("other"), tables, pipeline, seed=5)


@pytest.mark.parametrize("what", ["another release", "nothing"])
def test_what_is_in_the_folder_later_changes_no_answer(what, path, other, tmp_path):
    folder = shutil.copytree(path, tmp_path / "current")
    opened = Bundle(folder, threads=1)
    folder.rename(tmp_path / "before")
    if what == "another release":
        shutil.copytree(other, folder)
        assert answers(Bundle(folder, threads=1)) != answers(Bundle(path, threads=1))
    shutil.rmtree(tmp_path / "before")
    assert answers(opened) == answers(Bundle(path, threads=1))


@pytest.mark.parametrize("reader", ["UserTower", "ItemTower", "Ranker", "open_sources", "Features"])
def test_a_folder_that_is_replaced_while_it_is_loaded_is_refused(reader, path, other, tmp_path, monkeypatch):
    """At whatever moment; nothing of two releases is served."""
    from models.runtime import release

    folder = shutil.copytree(path, tmp_path / "current")
    made = getattr(release, reader)

    def replace() -> None:
        folder.rename(tmp_path / "before")
        shutil.copytree(other, folder)

    class Replacing:
        def __new__(cls, *arguments: Any) -> Any:
            replace()
            return made(*arguments)

        @staticmethod
        def of(*arguments: Any) -> Any:
            replace()
            return made.of(*arguments)

    monkeypatch.setattr(release, reader, Replacing)
    with pytest.raises(BundleError, match="current: was replaced while it was being loaded; load it again"):
        Bundle(folder)
    monkeypatch.undo()
    assert Bundle(folder).recommend([3]).table.equals(Bundle(other).recommend([3]).table)


def test_the_rows_of_a_user_are_found_in_any_order_of_the_tables(remade, tables, path, user_ids):
    shuffled = {
        name: tables[name].take(np.random.default_rng(0).permutation(len(tables[name])))
        for name in ("histories", "user_features", "exposures")
    }
    bundle, expected = remade(**shuffled), Bundle(path, threads=1)
    for one in (bundle, expected):
        for user in user_ids[::3]:
            one.watch(user, [7])
    found, wanted = (one.recommend(user_ids).table for one in (bundle, expected))
    assert found.drop_columns("score").equals(wanted.drop_columns("score"))
