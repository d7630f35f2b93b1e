"""Killed while Prefect or MLflow makes the tables of a fresh database: the next start has whole ones."""

import os
import signal
import sqlite3
from contextlib import closing, suppress

import pytest


def _tables(path):
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        return database.execute("select count(*) from sqlite_master where type = 'table'").fetchone()[0]
    return 0


def _kill_all(home, running):
    """The command and all that it started, like a machine that loses power."""
    for process in home.processes():
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    running.wait(30)


def test_prefect_killed_while_up_makes_its_tables(make_service):
    service = make_service()
    database = service.home.path / "home/prefect/prefect.db"
    running = service.home.command("up")
    service.wait(lambda: _tables(database) > 5)
    _kill_all(service.home, running)
    assert not service.records() or _tables(database) < 40, "killed too late to show anything"
    service.first_up()
    assert (database.with_name("unfinished.db")).exists()
    assert service.status()["well"] and service.deployment("nightly")
    service.home.run("down")


def test_up_killed_while_its_server_lives_on(make_service):
    """The next one waits for the tables that the server is still making, and takes it over."""
    service = make_service()
    running = service.home.command("up", "--prefect-port", str(service.prefect_port))
    pid = service.wait(lambda: service.pids().get("prefect"))
    service.wait(lambda: _tables(service.home.path / "home/prefect/prefect.db") > 5)
    running.process.kill()
    service.first_up()
    assert service.pids()["prefect"] == pid
    assert not (service.home.path / "home/prefect/unfinished.db").exists()
    service.home.run("down")


@pytest.mark.parametrize("database", ["prefect/prefect.db", "mlflow/mlflow.db"])
def test_a_run_killed_while_tables_are_made(make_service, undisturbed, database):
    service = make_service()
    home, path = service.home, service.home.path / "home"
    running = home.command("run", str(home.config))
    if database.startswith("mlflow"):
        # The file aside is locked most of the time; that it is there says that tables are being made.
        service.wait(lambda: [p for p in path.glob("mlflow/.making-*/mlflow.db") if p.stat().st_size])
    else:
        service.wait(lambda: _tables(path / database) > 5)
    _kill_all(home, running)
    assert database.startswith("prefect") or not (path / database).exists()
    done = home.night()
    assert done.returncode == 0, done.stderr
    assert home.digests() == undisturbed.digests()
    assert not list(path.glob("mlflow/.making-*"))


def test_two_first_runs_at_once_do_not_take_each_others_database(make_service):
    home = make_service().home
    running = [home.command("run", str(home.config), "--date", day) for day in ("2026-01-12", "2026-01-13")]
    done = [r.wait() for r in running]
    assert [d.returncode for d in done] == [0, 0], [d.stderr for d in done]
    assert not (home.path / "home/prefect/unfinished.db").exists()
    with closing(sqlite3.connect(home.path / "home/prefect/prefect.db")) as database:
        assert database.execute("select count(*) from flow_run").fetchone()[0] == 2
