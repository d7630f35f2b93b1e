"""MLflow's server as one process: `python -m flows.service.mlflow_server PORT`.

`mlflow server` imports MLflow once in its supervisor and again in its worker: on two cores that is three of its six
seconds to ready, and a second process that can die alone. Where things are is told by environment variables, never on
the command line, which every user of the machine can read.
"""

import os
import sys
from pathlib import Path


def main() -> None:
    import uvicorn
    from mlflow.server import constants

    from tasks.registry import Registry

    home = Path(os.environ["NIGHTJAR_HOME"])
    store = os.environ.get("NIGHTJAR_MLFLOW_DATABASE", "")
    if not store:
        registry = Registry(home)
        registry.make_database()
        store = registry.uri
    os.environ.update(
        {
            constants.BACKEND_STORE_URI_ENV_VAR: store,
            constants.REGISTRY_STORE_URI_ENV_VAR: store,
            constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
            constants.ARTIFACTS_DESTINATION_ENV_VAR: str(home / "mlflow" / "artifacts"),
            constants.SERVE_ARTIFACTS_ENV_VAR: "true",
            "_MLFLOW_SGI_NAME": "uvicorn",
            # Nothing of a night needs MLflow's background jobs, which are two more processes.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
    )
    uvicorn.run("mlflow.server.fastapi_app:app", host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")


if __name__ == "__main__":
    main()
