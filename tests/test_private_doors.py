"""What a library keeps to itself is used in one module of ours only, whose own tests say what to look at.

Private is what begins with one underscore and is not our own, and the modules listed below, which libraries change as
they like. Looked at is the source: what hides in a program that is text, or in a value, is not found.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

DOORS = {
    "expectations/gx_internals.py": ("great_expectations",),
    "spark_jobs/spark_internals.py": ("pyspark", "py4j"),
    "tasks/registry/mlflow_internals.py": ("mlflow",),
    "flows/service/prefect_internals.py": ("prefect",),
    "flows/python_internals.py": ("atexit",),
}
"""Each with the libraries whose private parts it uses; its test, by the same name below `tests/`, may use them too."""

INTERNAL = (
    "great_expectations.data_context.types", "great_expectations.datasource", "great_expectations.execution_engine",
    "great_expectations.expectations.registry", "great_expectations.render", "great_expectations.validator",
    "mlflow.protos", "mlflow.server", "mlflow.store", "mlflow.utils",
    "optuna.storages.journal.base",
    "prefect.server", "prefect.settings.legacy", "prefect.settings.models", "prefect.workers.base",
    "py4j.clientserver", "py4j.java_gateway",
    "pyspark.core", "pyspark.daemon", "pyspark.errors.exceptions", "pyspark.java_gateway", "pyspark.serializers",
    "pyspark.sql.classic", "pyspark.sql.pandas", "pyspark.worker",
)  # fmt: skip
"""Modules, with all below them, that no documentation of their library names."""

INTERNAL_VARIABLE = re.compile(r"PREFECT__\w+|_(MLFLOW|PYSPARK)_\w+")
"""Of the environment, between the processes of one library."""

DOCUMENTED = {"os._exit"}
"""By their libraries, in spite of the underscore."""

Offence = tuple[int, str]  # line, what is private there


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name.strip("_").isidentifier()


def is_internal(module: str) -> bool:
    parts = module.split(".")
    listed = any(module == name or module.startswith(f"{name}.") for name in INTERNAL)
    return listed or any(is_private(part) for part in parts)


def our_names(tree: ast.AST) -> Iterator[str]:
    """Private names that this source defines: of classes, functions, attributes and variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_own(node.value):
            yield node.attr


def _is_own(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id in ("self", "cls")


def offences(tree: ast.AST, ours: set[str], tops: set[str]) -> Iterator[Offence]:
    """What is used here of a library's private parts.

    Args:
        ours: private names that are defined somewhere in the project.
        tops: the project's own top-level packages.
    """
    foreign = dict(_foreign_names(tree, tops))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, a.name) for a in node.names if is_internal(a.name))
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] not in tops:
            names = [f"{node.module}.{alias.name}" for alias in node.names if node.module != "__future__"]
            yield from ((node.lineno, name) for name in names if is_internal(name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            if not _is_own(node.value) and _is_foreign(node, ours, foreign):
                yield node.lineno, _written_out(node, foreign)
        elif isinstance(node, ast.Attribute) and is_internal(_written_out(node, foreign)) and _root(node) in foreign:
            yield node.lineno, _written_out(node, foreign)
        elif isinstance(node, ast.Call):
            yield from _by_name(node, ours)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            module = re.fullmatch(r"([\w.]+)(:\w+)?", node.value)
            if INTERNAL_VARIABLE.fullmatch(node.value) or (module and "." in module[1] and _is_listed(module[1])):
                yield node.lineno, repr(node.value)


def _is_listed(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in INTERNAL)


def _foreign_names(tree: ast.AST, tops: set[str]) -> Iterator[tuple[str, str]]:
    """Names that are imported from libraries, and what they stand for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias for alias in node.names if alias.name.split(".")[0] not in tops]
            yield from ((a.asname, a.name) if a.asname else (a.name.split(".")[0],) * 2 for a in names)
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] not in tops:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _written_out(node: ast.Attribute, foreign: dict[str, str]) -> str:
    """With the name that its root was imported from."""
    text, root = ast.unparse(node), _root(node)
    return foreign.get(root, root) + text[len(root) :] if root else text


def _is_foreign(node: ast.Attribute, ours: set[str], foreign: dict[str, str]) -> bool:
    if _written_out(node, foreign) in DOCUMENTED:
        return False
    return _root(node) in foreign or node.attr not in ours


def _by_name(call: ast.Call, ours: set[str]) -> Iterator[Offence]:
    """`getattr(x, "_y")` and the like, `monkeypatch.setattr(x, "_y", ...)` too."""
    function = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    if function in ("getattr", "setattr", "hasattr", "delattr"):
        for given in call.args:
            name = given.value if isinstance(given, ast.Constant) else None
            if isinstance(name, str) and is_private(name) and name not in ours:
                yield call.lineno, f'{function}(..., "{name}")'


@cache
def _sources() -> dict[str, ast.Module]:
    """All Python files that are tracked or new, parsed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return {name: ast.parse((ROOT / name).read_text()) for name in names if (ROOT / name).exists()}


def _contract(door: str) -> str:
    path = Path(door)
    return f"tests/{path.parent}/test_{path.name}"


def test_private_parts_of_libraries_are_used_behind_their_door_only():
    sources = _sources()
    tops = {name.split("/")[0] for name in sources}
    allowed = {*DOORS, *map(_contract, DOORS)}
    ours = {name for path, tree in sources.items() if path not in allowed for name in our_names(tree)}
    found = [
        f"{path}:{line}: {what} is private to its library. Is there a public way? If not, it belongs into "
        f"{_door_for(what)}, with a comment why and a contract test (docs/architecture.md)"
        for path, tree in sources.items()
        if path not in allowed and path != Path(__file__).relative_to(ROOT).as_posix()
        for line, what in sorted(set(offences(tree, ours, tops)))
    ]
    assert not found, "\n".join(found)


def _door_for(what: str) -> str:
    for door, libraries in DOORS.items():
        if any(what.strip("'").startswith(library) for library in libraries):
            return door
    return "the module of its library (" + ", ".join(DOORS) + ") or a new one beside its users"


@pytest.mark.parametrize("door", DOORS)
def test_every_door_is_used_has_its_contract_and_nothing_of_another_library(door):
    sources = _sources()
    module = door.removesuffix(".py").replace("/", ".")
    users = [
        path
        for path, tree in sources.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == module and not path.startswith("tests/")
    ]
    assert users, f"{door}: nobody needs it any more"
    assert _contract(door) in sources, f"{door}: {_contract(door)} is missing"
    tops = {name.split("/")[0] for name in sources}
    others = [library for libraries in DOORS.values() for library in libraries if library not in DOORS[door]]
    for _, what in offences(sources[door], set(), tops):
        assert not what.strip("'").startswith(tuple(others)), f"{door}: {what} belongs behind another door"


PLANTED = {
    "import atexit\natexit._run_exitfuncs()": "atexit._run_exitfuncs",
    "import pyspark as spark\nspark.SparkContext._gateway": "pyspark.SparkContext._gateway",
    "from mlflow.store.db.utils import create_sqlalchemy_engine": "mlflow.store.db.utils.create_sqlalchemy_engine",
    "from mlflow import server": "mlflow.server",
    "import mlflow\nmlflow.server.app": "mlflow.server",
    "import prefect.server.database.orm_models": "prefect.server.database.orm_models",
    "from prefect.settings import _types": "prefect.settings._types",
    "from _pytest.fixtures import FixtureRequest": "_pytest.fixtures.FixtureRequest",
    "def f(trial):\n    return trial._trial_id": "trial._trial_id",
    "def f(self):\n    return self.trial._trial_id": "self.trial._trial_id",
    "def f(trial):\n    return getattr(trial, '_trial_id', 0)": 'getattr(..., "_trial_id")',
    "def f(monkeypatch, sc):\n    monkeypatch.setattr(sc, '_jvm', None)": 'setattr(..., "_jvm")',
    "run('prefect.server.api.server:create_app')": "'prefect.server.api.server:create_app'",
    "environment = {'PREFECT__SERVER_FINAL': '1'}": "'PREFECT__SERVER_FINAL'",
    # Our own name by chance, and still that of a library.
    "import numpy as np\nnp._ours": "numpy._ours",
}


@pytest.mark.parametrize("source", PLANTED)
def test_what_is_planted_is_found(source):
    found = [what for _, what in offences(ast.parse(source), {"_ours"}, {"flows"})]
    assert PLANTED[source] in found, found


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos._exit(1)",
        "def f(self, other):\n    self._any = other._ours\n    return super().__init__()",
        "from flows.cli._ours import _ours",
        "from mlflow import MlflowClient\nfrom pyspark.sql import functions as F\nF.col('_any')",
        "from __future__ import annotations\nname = '__main__'",
        "what = 'it says that prefect.server.api is private'",
    ],
)
def test_what_is_public_or_ours_is_left_alone(source):
    assert list(offences(ast.parse(source), {"_ours"}, {"flows"})) == []


def test_names_that_a_source_defines_are_known():
    source = "class _A:\n    _b = 1\n    def _c(self):\n        self._d: int = 2\n        other._e = 3\n"
    assert {n for n in our_names(ast.parse(source)) if is_private(n)} == {"_A", "_b", "_c", "_d"}
