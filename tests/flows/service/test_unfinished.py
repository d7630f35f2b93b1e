"""Killed while Prefect or MLflow makes the tables of a fresh database: the next start has whole ones.

Set-up has made empty databases that homes copy; here they make their own, as in an installation without them. What both
have in common, also that two at once do not disturb each other, is shown in `tests/tasks/machine/test_databases.py`.
"""

import os
import signal
import sqlite3
from contextlib import closing, suppress

import pytest


def _kill_all(home, running):
    """The command and all that it started, like a machine that loses power."""
    for process in home.processes():
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    running.wait(400)


@pytest.fixture
def home(continued, golden_days, tmp_path):
    """Databases are to be made; the lake has three nights but for their releases."""
    found = continued(of=golden_days)
    found.environment["NIGHTJAR_PREPARED"] = str(tmp_path)
    return found


@pytest.mark.parametrize("database", ["prefect/prefect.db", pytest.param("mlflow/mlflow.db", marks=pytest.mark.soak)])
def test_a_run_killed_while_tables_are_made(make_service, home, golden, database):
    path = home.path / "home" / database
    running = home.command("run", str(home.config))
    # The file aside is locked most of the time; that it is there says that tables are being made.
    make_service().wait(lambda: [p for p in path.parent.glob(f".making-*/{path.name}") if p.stat().st_size], 200)
    _kill_all(home, running)
    assert not path.exists()
    done = home.night()
    assert done.returncode == 0, done.stderr
    assert golden.digests().items() <= home.digests().items()
    assert not list(path.parent.glob(".making-*"))


@pytest.mark.soak
def test_two_first_runs_at_once_do_not_take_each_others_database(home):
    running = [home.command("run", str(home.config), "--date", day) for day in ("2026-01-12", "2026-01-13")]
    done = [r.wait() for r in running]
    assert [d.returncode for d in done] == [0, 0], [d.stderr for d in done]
    with closing(sqlite3.connect(home.path / "home/prefect/prefect.db")) as database:
        assert database.execute("select count(*) from flow_run").fetchone()[0] == 2
