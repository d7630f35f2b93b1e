"""Every script of `examples/`, run as its first line says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


def _run(name: str, *arguments: str, isolated: bool = False) -> str:
    options = ["-I"] if isolated else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *options, str(EXAMPLES / name), *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_of_one_s_own_finds_the_planted_tastes():
    assert "100% get something of their own taste" in _run("add_a_model.py")


@pytest.mark.slow
def test_the_lake_is_read_with_pandas(golden):
    said = _run("read_lake.py", str(golden.path / "home"))
    assert "final" in said and "oracle" in said and "recommendations that others read" in said


@pytest.mark.slow
def test_a_pulled_release_answers(golden, tmp_path):
    assert golden.ask("pull", "--to", str(tmp_path / "release")).returncode == 0
    said = _run("consume_release.py", str(tmp_path / "release"), isolated=True)
    assert said.count("(found by ") == 5 and "somebody new who watched that: [" in said and "like it: [" in said


def test_each_is_told_of():
    told = (ROOT / "CONTRIBUTING.md").read_text()
    assert all(path.name in told for path in EXAMPLES.glob("*.py"))
