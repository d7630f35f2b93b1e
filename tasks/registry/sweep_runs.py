"""A sweep in MLflow: one run, and below it one run a configuration, with what was chosen and every figure.

Logged in bulk: three calls a configuration, beside the sweep and not in its way.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.registry.registry import Registry

PARENT_TAG, NAME_TAG, KIND_TAG = "mlflow.parentRunId", "mlflow.runName", "nightjar.kind"


@dataclass(frozen=True)
class Logged:
    """One configuration: name, parameters, figures."""

    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    error: str = ""


def begin_parent(registry: Registry, name: str, params: Mapping[str, Any]) -> str:
    """Begin the run of a sweep; returns its id."""
    run = registry.client.create_run(
        registry.experiment_id(), tags={NAME_TAG: name, KIND_TAG: "grid"}, start_time=_now_ms()
    )
    registry.client.log_batch(run.info.run_id, params=_params(params))
    return str(run.info.run_id)


def is_there(registry: Registry, run_id: str) -> bool:
    """Whether the registry at hand has the run of a sweep; another one, or one that was tidied, does not."""
    from mlflow.exceptions import MlflowException

    try:
        return bool(registry.client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False


def log_children(registry: Registry, parent: str, rows: Iterable[Logged]) -> Iterable[str]:
    """Log configurations below a sweep's run, one at a time; gives the id of each."""
    experiment = registry.experiment_id()
    for row in rows:
        tags = {PARENT_TAG: parent, NAME_TAG: row.name, KIND_TAG: "trial"}
        run = registry.client.create_run(experiment, tags=tags, start_time=_now_ms())
        registry.client.log_batch(run.info.run_id, metrics=_metrics(row.metrics), params=_params(row.params))
        registry.client.set_terminated(run.info.run_id, "FAILED" if row.error else "FINISHED")
        yield str(run.info.run_id)


def end_parent(registry: Registry, run_id: str, metrics: Mapping[str, float], failed: bool = False) -> None:
    """End the run of a sweep, with its best figures."""
    registry.client.log_batch(run_id, metrics=_metrics(metrics))
    registry.client.set_terminated(run_id, "FAILED" if failed else "FINISHED")


def _params(values: Mapping[str, Any]) -> list[Any]:
    from mlflow.entities import Param

    return [Param(_name(name), str(value)) for name, value in values.items()]


def _metrics(values: Mapping[str, float]) -> list[Any]:
    from mlflow.entities import Metric

    now = _now_ms()
    return [Metric(_name(name), value, now, 0) for name, value in values.items() if value == value]


def _name(name: str) -> str:
    """MLflow allows no @ in names."""
    return name.replace("@", "_at_")


def _now_ms() -> int:
    return int(time.time() * 1000)
