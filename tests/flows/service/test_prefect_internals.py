"""What `flows/service/prefect_internals.py` relies on is still there in the Prefect that is installed."""

import inspect
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import prefect.settings
import pytest
from prefect.client.schemas import FlowRun
from prefect.runtime import flow_run
from prefect.workers.base import BaseJobConfiguration

from flows.environment import variables
from flows.service import parts, prefect_internals, prefect_server
from flows.service.own_server import ENVIRONMENT
from flows.service.settings import Settings


def door(part, where):
    return f"another Prefect: see flows/service/prefect_internals.py, {part}; to look at: {where}"


def test_a_process_of_a_flow_run_is_told_its_id(monkeypatch):
    told = door("FLOW_RUN", "prefect/workers/base.py, prefect/runtime/flow_run.py")
    given = BaseJobConfiguration._base_flow_run_environment(cast(FlowRun, SimpleNamespace(id="some-id")))
    assert given == {prefect_internals.FLOW_RUN: "some-id"}, told
    monkeypatch.setenv(prefect_internals.FLOW_RUN, "some-id")
    assert flow_run.id == "some-id", told


def test_a_temporary_server_is_started_as_prefect_starts_one():
    from prefect.server.api import server

    told = door("TEMPORARY_SERVER, server_application", "prefect/server/api/server.py")
    start = inspect.getsource(server.SubprocessASGIServer._run_uvicorn_command)
    for name, value in prefect_internals.TEMPORARY_SERVER.items():
        assert f'"{name}": "{value}"' in start, f"{name}: {told}"
    assert start.count('": "') == len(prefect_internals.TEMPORARY_SERVER), told
    assert f"{server.__name__}:{server.create_app.__name__}" in start, told


def test_the_server_is_the_application_that_prefects_own_command_serves():
    from prefect.cli import _server_utils

    told = door("server_application", "prefect/cli/_server_utils.py")
    start = inspect.getsource(_server_utils._run_in_foreground)
    assert "app=create_app(final=True, webserver_only=no_services)" in start, told
    for option in ("timeout_keep_alive", "ws_ping_interval", "ws_ping_timeout", "log_level"):
        assert f"{option}=" in start and f"{option}=" in inspect.getsource(prefect_server.main), told


@pytest.mark.parametrize("whose", ["a command's server", "every process", "the service's server", "a worker"])
def test_prefect_knows_the_settings_that_stand_in_the_environment(whose):
    """One that it does not know it takes without a word."""
    settings = Settings(auth="user:password", prefect_database="postgresql://user@host/name")
    given = {
        "a command's server": ENVIRONMENT,
        "every process": variables(Path("home")),
        "the service's server": parts.prefect_server(settings, 4200).environment,
        "a worker": parts.worker(settings, 1, "http://127.0.0.1:4200/api").environment,
    }[whose]
    names = [n for n in given if n.startswith("PREFECT_") and n not in prefect_internals.TEMPORARY_SERVER]
    unknown = [n for n in names if not hasattr(prefect.settings, n)]
    told = "see flows/service/own_server.py, flows/service/parts.py, flows/environment.py; to look at: prefect.settings"
    assert names and not unknown, f"another Prefect, without {unknown}: {told}"


MAPPERS = """
import json
from flows.service.prefect_internals import set_up_mappers

set_up_mappers()
from prefect.server.database.orm_models import Base
from sqlalchemy.orm import configure_mappers

configure_mappers()
before = sorted(mapper.class_.__name__ for mapper in Base.registry.mappers)
import prefect.server.api.server

print(json.dumps([before, sorted(mapper.class_.__name__ for mapper in Base.registry.mappers)]))
"""


def test_the_models_of_the_database_are_imported_whole():
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", MAPPERS], cwd=root, capture_output=True, text=True)
    told = door("set_up_mappers", "prefect/server/database/orm_models.py")
    assert done.returncode == 0, f"{told}\n{done.stderr}"
    alone, with_the_server = json.loads(done.stdout)
    assert "FlowRun" in alone and alone == with_the_server, told
