"""Releases are asked through the code that they bring, several of them in one process."""

import importlib
import json
import shutil
import sys

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import model
from mlflow.pyfunc import PythonModelContext

from expectations.errors import Failure
from models.serving import export
from models.serving.bundle_runtime import open_bundle
from tests.tasks.released import make_release


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_release(tmp_path_factory.mktemp("made"), 20, 60)


@pytest.fixture
def other(made, tmp_path):
    """A release of another day, in a folder of the same name, whose code is not ours."""
    folder = shutil.copytree(made, tmp_path / made.name)
    code = folder / "bundle" / "lists.py"
    code.write_text(code.read_text().replace('"next after "', '"follows upon "'))
    export.write_manifest(folder, export.facts_of(json.loads((folder / "manifest.json").read_text())))
    return folder


def words(bundle) -> set[str]:
    """What the next episode of a series is introduced with."""
    reasons = bundle.recommend(range(20)).table["reason"].to_pylist()
    return {" ".join(reason.split(" ")[:2]) for reason in reasons} & {"next after", "follows upon"}


def test_each_is_asked_through_its_own_code(made, other):
    ours, theirs = open_bundle(made), open_bundle(other)
    assert words(ours) == {"next after"} and words(theirs) == {"follows upon"}
    assert not [name for name in sys.modules if name.startswith("runtime_")]


def test_a_runtime_of_one_file_is_read_too(made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "old")
    shutil.rmtree(folder / "bundle")
    (folder / "bundle.py").write_text(
        "class BundleError(Exception): ...\nclass Bundle:\n    def __init__(self, at): ...\n"
    )
    assert type(open_bundle(folder)).__name__ == "Bundle"


def test_no_runtime_at_all_is_told(made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "none")
    shutil.rmtree(folder / "bundle")
    with pytest.raises(Failure, match=r"bundle/__init__\.py: missing; fetch the bundle again"):
        open_bundle(folder)


@pytest.fixture
def served(monkeypatch):
    """What MLflow makes of a folder."""
    monkeypatch.setattr(model, "__mlflow_model__", None)  # the module names its model as it is imported
    module = importlib.import_module("tasks.registry.pyfunc_model")

    def load(folder):
        recommender = module.Recommender()
        recommender.load_context(PythonModelContext({"bundle": str(folder)}, {}))
        return recommender

    return load


def test_mlflow_may_load_two_versions_in_one_process(made, other, served):
    first, second = served(made), served(other)
    assert words(first.bundle) == {"next after"} and words(second.bundle) == {"follows upon"}


def answers(recommender, *requests):
    return recommender.predict(None, pd.DataFrame(list(requests)))


def test_what_a_frame_makes_of_requests_changes_no_answer(made, served):
    """Beside a row that lacks a value whole numbers become floats."""
    recommender = served(made)
    requests = {"user_id": "u3", "k": 4}, {"history": ["i5", "i9"], "k": 2}, {"user_id": "nobody"}
    together = answers(recommender, *requests)
    assert together.groupby("request").size().tolist() == [4, 2, recommender.bundle.pipeline["k"]]
    for number, request in enumerate(requests):
        alone, part = answers(recommender, request), together[together["request"] == number].reset_index(drop=True)
        assert alone.drop(columns="request").equals(part.drop(columns="request"))


def test_numbers_are_ids_of_a_log_whose_ids_were_numbers(made, served):
    recommender = served(made)
    recommender.users = {name.removeprefix("u"): user for name, user in recommender.users.items()}
    expected = answers(recommender, {"user_id": "3", "k": 4})
    assert answers(recommender, {"user_id": 3, "k": 4}).equals(expected)
    assert answers(recommender, {"user_id": 3, "k": 4}, {"history": []})[:4].equals(expected)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"user_id": "u1", "k": 10_000}, "k is 10000 .*; allowed: a whole number from 1 to 1,000"),
        ({"user_id": "u1", "k": 0}, "k is 0 .*; allowed: a whole number"),
        ({"user_id": "u1", "k": "10"}, "k is '10' .*; allowed: a whole number"),
        ({"user_id": "u1", "k": True}, "k is True .*; allowed: a whole number"),
        ({"user_id": "u1", "k": 2.5}, "k is 2.5 .*; allowed: a whole number"),
        ({"user_id": ["u1"]}, r"user_id is \['u1'\]; allowed: an id of the log"),
        ({"history": "i3,i17"}, "history is 'i3,i17'; allowed: a list of item ids"),
        ({"history": 3}, "history is 3; allowed: a list of item ids"),
        ({"history": ["i3", None]}, r"history\[1\] is None; allowed: an id of the log"),
        ({"history": ["i3", "i999"]}, "item 'i999' is not known to this release"),
    ],
)
def test_a_request_that_cannot_be_answered_is_named(request_, words, made, served):
    with pytest.raises(MlflowException, match=f"request 1: {words}") as refused:
        answers(served(made), {"user_id": "u2"}, request_)
    assert refused.value.get_http_status_code() == 400
