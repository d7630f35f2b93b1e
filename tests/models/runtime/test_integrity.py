"""A bundle is refused when anything is wrong with it, and needs nothing but itself."""

import ast
import json
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase

import pytest

from models.runtime import Bundle, BundleError
from models.runtime.files import FILES, FORMAT, REQUIRED
from models.serving import export

ALLOWED = {"numpy", "pyarrow", "faiss", "onnxruntime"}


@pytest.fixture
def copied(path, tmp_path):
    return shutil.copytree(path, tmp_path / "copied")


def names(path):
    return sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())


def test_every_file_is_in_the_manifest_and_all_that_is_required_is_there(path):
    files = json.loads((path / "manifest.json").read_text())["files"]
    assert [*names(path)] == sorted([*files, "manifest.json"])
    assert set(REQUIRED) <= set(files)


def test_a_flipped_byte_in_any_file_is_refused_by_name(copied):
    for name in names(copied):
        good = (copied / name).read_bytes()
        middle = len(good) // 2
        (copied / name).write_bytes(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :])
        with pytest.raises(BundleError, match=name):
            Bundle(copied)
        (copied / name).write_bytes(good)
    assert Bundle(copied).recommend([1]).table.num_rows == 8


@pytest.mark.parametrize("verify", [True, False])
def test_a_missing_or_truncated_file_is_refused_by_name(copied, verify):
    for name in names(copied):
        good = (copied / name).read_bytes()
        (copied / name).unlink()
        with pytest.raises(BundleError, match=name):
            Bundle(copied, verify=verify)
        (copied / name).write_bytes(good[: len(good) // 2])
        with pytest.raises(BundleError, match=name):
            Bundle(copied, verify=verify)
        (copied / name).write_bytes(good)


def remanifested(folder, **changes):
    """A manifest that is consistent in itself, with some facts changed."""
    facts = json.loads((folder / "manifest.json").read_text()) | changes
    export.write_manifest(folder, {name: facts[name] for name in facts if name not in ("files", "digest", "format")})


def test_every_file_is_one_of_the_table(path):
    """What a release has and the table does not tell of, nobody could pull."""
    found = [p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    told = [file.name for file in FILES]
    assert [name for name in found if not any(fnmatchcase(name, pattern) for pattern in told)] == ["manifest.json"]


@pytest.mark.parametrize(("other", "when"), [(FORMAT + 1, "later"), (FORMAT - 1, "earlier")])
def test_a_layout_of_another_version_is_refused(other, when, copied, monkeypatch):
    monkeypatch.setattr(export, "FORMAT", other)
    remanifested(copied)
    with pytest.raises(BundleError, match=rf"of format {other}, {when} than this runtime's \({FORMAT}\); use the run"):
        Bundle(copied)


def test_an_index_of_other_towers_is_refused(copied):
    (copied / "index" / "index.json").write_text(json.dumps({"tower_digest": "0" * 64}))
    remanifested(copied)
    with pytest.raises(
        BundleError, match="index: built from towers 000000000000, but the bundle has towers ffffffffffff"
    ):
        Bundle(copied)


def test_other_towers_than_those_of_the_index_are_refused(copied):
    remanifested(copied, tower_digest="1" * 64)
    with pytest.raises(
        BundleError, match="index: built from towers ffffffffffff, but the bundle has towers 111111111111"
    ):
        Bundle(copied)


def test_a_newer_faiss_is_refused_with_the_remedy(copied):
    remanifested(copied, versions={"faiss": "99.1.0"})
    with pytest.raises(BundleError, match=r"index: written by faiss 99\.1\.0.*install faiss-cpu==99\.1\.0"):
        Bundle(copied)


def test_an_edited_manifest_is_refused(copied):
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["recall"] = 0.5
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"manifest\.json: was edited"):
        Bundle(copied)


def test_a_file_that_the_manifest_does_not_list_is_refused(copied):
    (copied / "users.parquet").rename(copied / "people.parquet")
    remanifested(copied)
    with pytest.raises(BundleError, match=r"users\.parquet: not in the manifest"):
        Bundle(copied)


def test_the_runtime_imports_nothing_of_the_project(path):
    nodes = [n for file in (path / "bundle").glob("*.py") for n in ast.walk(ast.parse(file.read_text()))]
    found = {a.name.split(".")[0] for n in nodes if isinstance(n, ast.Import) for a in n.names}
    found |= {str(n.module).split(".")[0] for n in nodes if isinstance(n, ast.ImportFrom) and not n.level}
    assert max(n.level for n in nodes if isinstance(n, ast.ImportFrom)) == 1
    assert found - set(sys.stdlib_module_names) == ALLOWED


ALONE = """
import json, sys
sys.path.insert(0, {folder!r})
import bundle
result = bundle.Bundle({folder!r}).recommend(range(40))
heavy = {{m.split(".")[0] for m in sys.modules}} & {{"models", "tasks", "expectations", "torch", "pyspark", "pydantic"}}
print(json.dumps([bundle.__file__, sorted(heavy), result.table.to_pydict()]))
"""


def test_the_folder_alone_gives_the_same_recommendations(copied, bundle, tmp_path):
    """As a consumer has it: Python in isolated mode, in an empty folder, without the project."""
    empty = tmp_path / "empty"
    empty.mkdir()
    run = subprocess.run(
        [sys.executable, "-I", "-c", ALONE.format(folder=str(copied))],
        cwd=empty, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    file, heavy, table = json.loads(run.stdout)
    assert file == str(copied / "bundle" / "__init__.py")
    assert heavy == []
    assert table == bundle.recommend(range(40)).table.to_pydict()


def test_the_readme_in_the_bundle_works(copied, tmp_path):
    code = (copied / "README.md").read_text().split("```python\n")[1].split("```")[0]
    code = code.replace("path/of/this/folder", str(copied))
    assert len(code.splitlines()) <= 12
    run = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "reason" in run.stdout
