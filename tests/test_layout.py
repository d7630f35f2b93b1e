"""The house: imports run downwards only, those inside functions too."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOOR = {"explorer": 5, "flows": 4, "tasks": 3, "models": 2, "spark_jobs": 2, "expectations": 1}
FORBIDDEN = {
    "flows": {"pyspark", "torch", "faiss"},
    "models": {"prefect", "mlflow", "pyspark"},
    "spark_jobs": {"prefect", "mlflow", "torch", "faiss"},
    "expectations": {"prefect", "mlflow", "pyspark", "torch", "faiss"},
}
RUNTIME = ROOT / "models/serving/bundle"
FILES = [p for top in FLOOR for p in sorted((ROOT / top).rglob("*.py"))]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # The runtime of a bundle works under any name, so it alone names its modules from beside them.
            assert not node.level or (path.parent == RUNTIME and node.level == 1), f"{path}: relative import"
            yield "" if node.level else node.module or ""


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_run_downwards(path):
    top = path.relative_to(ROOT).parts[0]
    heads = {name.split(".")[0] for name in _imports(path)}
    wrong = {h for h in heads if h in FLOOR and h != top and FLOOR[h] >= FLOOR[top]}
    assert not wrong | (heads & FORBIDDEN.get(top, set()))


@pytest.mark.parametrize("path", [p for p in FILES if p.name == "__init__.py"], ids=lambda p: p.parent.name)
def test_package_files_are_empty(path):
    """But that of the runtime, from which a consumer imports."""
    assert (path.read_text() == "") != (path.parent == RUNTIME)


def test_the_only_folders_of_code_are_those_of_the_house():
    ours = {p.parts[-2] for p in ROOT.glob("*/__init__.py")}
    assert ours == set(FLOOR)


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
    assert not _loaded("import flows.config") & heavy
