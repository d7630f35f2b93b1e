"""Releases are asked through the code that they bring, several of them in one process."""

import importlib
import json
import shutil
import sys

import pytest
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


def test_mlflow_may_load_two_versions_in_one_process(made, other, monkeypatch):
    monkeypatch.setattr(model, "__mlflow_model__", None)  # the module names its model as it is imported
    module = importlib.import_module("tasks.registry.pyfunc_model")
    first, second = module.Recommender(), module.Recommender()
    first.load_context(PythonModelContext({"bundle": str(made)}, {}))
    second.load_context(PythonModelContext({"bundle": str(other)}, {}))
    assert words(first.bundle) == {"next after"} and words(second.bundle) == {"follows upon"}
