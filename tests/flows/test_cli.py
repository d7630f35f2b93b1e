"""The command line: quick help, one clear message for every mistake, exit codes 2 and 1."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_help_lists_every_command_and_imports_nothing_that_is_slow():
    command = [sys.executable, "-X", "importtime", "-m", "flows", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    from flows.__main__ import COMMANDS

    assert all(name in done.stdout for name in COMMANDS)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    slow = {"prefect", "mlflow", "pyspark", "torch", "numpy", "pyarrow", "pandas", "pydantic", "yaml", "sqlalchemy"}
    assert "flows" in imported and not imported & slow


@pytest.mark.parametrize("command", ["run", "explain", "show", "export", "quarantine", "gc", "doctor"])
def test_every_command_has_help(make_home, command):
    done = make_home().ask(command, "--help")
    assert done.returncode == 0 and "Usage: nightjar" in done.stdout


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["run", "nowhere.yaml"], "config nowhere.yaml: no such file"),
        (["run", "CONFIG", "--set", "als.faktors=3"], "unknown key als.faktors, did you mean factors?"),
        (["run", "CONFIG", "--set", "als.factors=-1"], "als.factors is -1"),
        (["run", "CONFIG", "--date", "2026-02-30"], "--date 2026-02-30: no such day"),
        (["run", "CONFIG", "--dry-run", "--date", "1990-01-01"], "choose a later date"),
        (["run", "CONFIG", "--dry-run", "--force", "fishing"], "no stage 'fishing'; stages: catalogue"),
        (["run", "CONFIG", "--dry-run", "--lake", "gopher://x"], "lake: 'gopher://x' is no lake URL"),
        (["run", "CONFIG", "--dry-run", "--set", "source.kind=movielens", "--set", "source.path=/nowhere"], "/nowhere"),
        (["explain"], "no run yet"),
        (["show", "watchs"], "did you mean watches?"),
        (["show", "watches"], "run a night first"),
        (["export", "watches", "--to", "x.txt"], "must end in .csv or .parquet"),
        (["quarantine", "show", "x"], "quarantine: 'x' names 0 entries"),
        (["fly"], "No such command 'fly'"),
    ],
)
def test_mistakes_end_in_one_message_and_exit_code_2(make_home, arguments, says):
    home = make_home()
    done = home.ask(*(str(home.config) if a == "CONFIG" else a for a in arguments))
    assert done.returncode == 2, done.stderr
    assert says in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 4


def test_debug_shows_the_traceback(make_home):
    done = make_home().ask("--debug", "run", "nowhere.yaml")
    assert done.returncode == 2 and "Traceback" in done.stderr


@pytest.mark.slow
def test_a_night_that_cannot_be_planned_ends_like_any_mistake_and_its_server_with_it(make_home):
    home = make_home()
    done = home.night("--date", "1990-01-01")
    assert done.returncode == 2 and "choose a later date" in done.stderr and "Traceback" not in done.stderr
    assert home.left_running() == []
