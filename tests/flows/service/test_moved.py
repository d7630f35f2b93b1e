"""The service of a home that was moved: schedule, runs and releases are where the home is now."""

import sqlite3
from contextlib import closing

import pytest

pytestmark = pytest.mark.slow


def test_a_moved_home_comes_up_with_its_schedule_and_its_releases(make_service, make_home, golden):
    import shutil

    service, moved = make_service(), make_home()
    home = service.home.path / "home"
    shutil.copytree(golden.path / "home", home, dirs_exist_ok=True, ignore=shutil.ignore_patterns("tmp"))
    service.first_up()
    before = service.deployment("nightly")
    assert service.home.ask("down").returncode == 0
    home.rename(moved.path / "home")
    service.home = moved
    service.up()
    status = service.status()
    assert status["well"] and status["release"]["version"] == 1
    after = service.deployment("nightly")
    assert after["id"] == before["id"] and after["schedules"] == before["schedules"]
    address = service.get("mlflow", "/ajax-api/2.0/mlflow/experiments/get-by-name?experiment_name=nightjar")
    assert address["experiment"]["artifact_location"] == (moved.path / "home/mlflow/artifacts").as_uri()
    with closing(sqlite3.connect(moved.path / "home/prefect/prefect.db")) as connection:
        (asked,) = connection.execute(
            "SELECT parameters FROM flow_run WHERE parameters LIKE '%lake%' LIMIT 1"
        ).fetchone()
    assert '"lake": "lake"' in asked, "a run that is retried works in the lake of the home that it is in"
    assert not home.exists() and moved.ask("down").returncode == 0
