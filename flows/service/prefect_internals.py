"""The one door to what Prefect 3.8 keeps to itself: its server as an application, and the marks of its processes.

Each part says why no public way serves, and what to look at when a new release breaks it. That all of it is still there
and still does what is relied on, `tests/flows/service/test_prefect_internals.py` checks.
"""

from typing import Any

FLOW_RUN = "PREFECT__FLOW_RUN_ID"
"""Environment variable that tells the process of a flow run its id.

`prefect.runtime.flow_run.id` says it in that process only. To look at: `configuration` of `prefect/workers/base.py`.
"""

TEMPORARY_SERVER = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}
"""Environment of a server without pages, and without the services that look for late runs.

`prefect server start --no-ui --no-services` takes no socket that is bound already. To look at: `_run_uvicorn_command`
and `create_app` in `prefect/server/api/server.py`.
"""


def server_application() -> Any:
    """Prefect's server as an ASGI application of this process.

    `prefect server start` takes nothing to stand in front of it. To look at: `create_app` in
    `prefect/server/api/server.py`, and `_run_in_foreground` in `prefect/cli/_server_utils.py`.
    """
    from prefect.server.api.server import create_app

    return create_app(final=True)


def set_up_mappers() -> None:
    """Import Prefect's database models whole.

    MLflow's import sets up the SQLAlchemy mappers of whatever is imported by then, and fails for good when these are
    Prefect's, half imported by another thread. To look at: whether `prefect/server/database/orm_models.py` still has
    them all; nothing public imports them.
    """
    import prefect.server.database.orm_models  # noqa: F401
