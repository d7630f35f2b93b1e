"""A flow run of a night in Prefect, for whoever runs one from a program and not from a deployment."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from prefect import flow

NAME = "nightly"
"""Name of the flow, that of the deployment too."""


def as_flow_run(day: str, parameters: Mapping[str, Any], body: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Call `body` as a flow run of the night of `day`; Prefect shows the parameters, and `body` is not given them."""

    def night(**parameters: Any) -> dict[str, Any]:
        return body()

    shown = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in parameters]
    vars(night)["__signature__"] = inspect.Signature(shown)
    made = flow(name=NAME, flow_run_name=f"{NAME} {day}", validate_parameters=False)(night)
    return made(**parameters)
