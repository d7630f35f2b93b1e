"""The house. That imports run downwards and in no circle, `lint-imports` looks at."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOUSE = ("explorer", "flows", "tasks", "models", "spark_jobs", "expectations")
RUNTIME = ROOT / "models/runtime"
FILES = [p for top in HOUSE for p in sorted((ROOT / top).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_only_the_runtime_imports_relatively(path):
    """It works under any name, so it alone names its modules from beside them."""
    levels = {n.level for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)}
    assert levels <= {0, 1} and (1 not in levels or path.parent == RUNTIME)


@pytest.mark.parametrize("path", [p for p in FILES if p.name == "__init__.py"], ids=lambda p: p.parent.name)
def test_package_files_are_empty(path):
    """But that of the runtime, from which a consumer imports."""
    assert (path.read_text() == "") != (path.parent == RUNTIME)


def test_the_only_folders_of_code_are_those_of_the_house():
    ours = {p.parts[-2] for p in ROOT.glob("*/__init__.py")}
    assert ours == set(HOUSE)


PARTS = {"features": {"items", "users", "user_rows"}, "steps": {"active", "lists", "alone"}, "index": {"shards"}}
"""Parts of a loaded release, and what there was a use for in them; a later runtime may have others."""


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in [*FILES, *sorted(ROOT.glob("benchmarks/*.py")), *sorted(ROOT.glob("examples/*.py"))]
        if path.parent != RUNTIME and path.name != "bundle_runtime.py"
    ],
    ids=lambda p: p.relative_to(ROOT).as_posix(),
)
def test_a_release_is_asked_by_what_it_declares(path):
    """Its runtime may be of any age: but for `bundle_runtime.py`, nobody looks behind `Bundle`."""
    for node in (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)):
        part = node.value.attr if isinstance(node.value, ast.Attribute) else ""
        assert node.attr not in PARTS.get(part, set()) and node.attr != "_sources", f"line {node.lineno}"


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md", "docs/extending.md"])
def test_files_that_a_page_names_are_there(page):
    """By their path from the top."""
    tops = "|".join((*HOUSE, "benchmarks", "deployments", "docs", "examples", "tests"))
    named = re.findall(rf"`((?:{tops})/[\w/.]*)`", (ROOT / page).read_text())
    assert len(named) > 5
    assert not [name for name in named if not (ROOT / name).exists()]


def test_every_package_is_installed():
    import tomllib

    named = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    assert named == {p.parent.relative_to(ROOT).as_posix().replace("/", ".") for p in FILES if p.name == "__init__.py"}


def _loaded(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(m.split('.')[0] for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_config_loads_nothing_heavy():
    heavy = {"torch", "pyspark", "faiss", "mlflow", "prefect", "great_expectations", "pandas", "sklearn", "numba"}
    heavy |= {"onnxruntime"}  # the table of systems is part of the runtime
    assert not _loaded("import flows.config") & heavy
