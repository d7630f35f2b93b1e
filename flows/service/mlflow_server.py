"""MLflow's server as one process: `python -m flows.service.mlflow_server PORT [ADDRESS]`.

`mlflow server` imports MLflow once in its supervisor and again in its worker: on two cores that is three of its six
seconds to ready, and a second process that can die alone. Where things are is told by environment variables, never on
the command line, which every user of the machine can read.
"""

import base64
import hmac
import os
import sys
from pathlib import Path
from typing import Any

from flows.service.origins import App, Scope, allowed_hosts, guarded

HEALTH = "/health"


def main(port: int, address: str = "127.0.0.1") -> None:
    import uvicorn

    from tasks.registry.mlflow_internals import server_application
    from tasks.registry.registry import Registry

    home, auth = Path(os.environ["NIGHTJAR_HOME"]), os.environ.pop("NIGHTJAR_AUTH", "")
    store = os.environ.get("MLFLOW_BACKEND_STORE_URI", "")
    if not store:
        registry = Registry(home)
        registry.make_database()
        store = f"sqlite:///{registry.database}"
    # Nothing of a night needs MLflow's background jobs, which are two more processes.
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    # Its own guard lets pages of every port of loopback in, and knows no names but its own setting's.
    os.environ["MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE"] = "true"
    app = server_application(store, home / "mlflow" / "artifacts")
    asking = asking_for(auth, app) if auth else app
    uvicorn.run(guarded(asking, allowed_hosts(), HEALTH), host=address, port=port, log_level="warning", lifespan="on")


def asking_for(auth: str, app: App) -> App:
    """An ASGI application that asks for `user:password` everywhere but at its health address."""
    expected = b"Basic " + base64.b64encode(auth.encode())

    async def asking(scope: Scope, receive: Any, send: Any) -> None:
        told = dict(scope.get("headers", [])).get(b"authorization", b"")
        if scope["type"] == "lifespan" or scope.get("path") == HEALTH or hmac.compare_digest(told, expected):
            await app(scope, receive, send)
        elif scope["type"] == "http":
            headers = [(b"www-authenticate", b'Basic realm="MLflow"'), (b"content-type", b"text/plain")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": b"user and password are needed"})
        else:
            await send({"type": "websocket.close", "code": 1008})

    return asking


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:3])
