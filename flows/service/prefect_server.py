"""Prefect's server as one process: `python -m flows.service.prefect_server PORT [ADDRESS]`.

`prefect server start` puts nothing in front of the server, which answers the pages of every site.
"""

import sys
from typing import Any

from flows.service.origins import allowed_hosts, guarded
from flows.service.prefect_internals import server_application

LOOPBACK = "127.0.0.1"
HEALTH = "/api/health"


def application() -> Any:
    """Prefect's server, as uvicorn takes it, behind the guard of all our servers."""
    return guarded(server_application(), allowed_hosts(), HEALTH)


def main(port: int, address: str = LOOPBACK) -> None:
    import uvicorn
    from prefect.settings import get_current_settings

    server = get_current_settings().server
    uvicorn.run(
        application(),
        host=address,
        port=port,
        timeout_keep_alive=server.api.keepalive_timeout,
        ws_ping_interval=server.api.websocket_ping_interval,
        ws_ping_timeout=server.api.websocket_ping_timeout,
        log_level=server.logging_level.lower(),
        lifespan="on",
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:3])
