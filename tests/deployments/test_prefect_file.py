"""`deployments/prefect.yaml`: what the Prefect UI offers, checked against the flows."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow

from flows.config import check_config

DEPLOYMENTS = Path(__file__).resolve().parents[2] / "deployments"
FILE = yaml.safe_load((DEPLOYMENTS / "prefect.yaml").read_text())
BY_NAME: dict[str, Any] = {d["name"]: d for d in FILE["deployments"]}
_REQUIRED = {"backfill": {"start": "2026-03-01", "end": "2026-03-07"}}
"""What nobody can say before somebody starts a run."""


def _flow(entrypoint: str) -> Flow[Any, Any]:
    module, _, name = entrypoint.rpartition(".")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_deployment_is_a_module_s_flow_on_the_pool_and_says_what_it_is_for(name):
    deployment = BY_NAME[name]
    # A `day` is a night of the pool, one of any number; `nightly` is that of the schedule, one at a time.
    flow = {"day": "nightly"}.get(name, name)
    assert ":" not in deployment["entrypoint"] and _flow(deployment["entrypoint"]).name == flow
    assert deployment["work_pool"] == {"name": "nightjar"}
    assert "nightjar" in deployment["tags"] and len(deployment["description"]) > 40


@pytest.mark.parametrize("name", BY_NAME)
def test_its_parameters_are_the_flow_s(name):
    deployment = BY_NAME[name]
    _flow(deployment["entrypoint"]).validate_parameters(deployment.get("parameters", {}) | _REQUIRED.get(name, {}))


def test_the_night_of_the_schedule_is_the_demo():
    demo = yaml.safe_load((DEPLOYMENTS / "demo.yaml").read_text())
    assert BY_NAME["nightly"]["parameters"] == demo
    assert BY_NAME["backfill"]["parameters"] == {"night": demo}
    check_config(BY_NAME["nightly"]["parameters"], "prefect.yaml")


def test_one_night_at_a_time_and_a_schedule_that_a_second_deploy_finds_again():
    nightly = BY_NAME["nightly"]
    assert nightly["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
    (schedule,) = nightly["schedules"]
    assert schedule["slug"] and schedule["timezone"] and "active" not in schedule
