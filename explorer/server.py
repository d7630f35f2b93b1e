"""The explorer's server on loopback: the page, behind the guard of all our servers."""

import threading
import time
from pathlib import Path

from expectations.errors import Failure
from explorer.theme import css, gr, theme
from flows.service.origins import allowed_hosts, guarded, hosts_of
from flows.service.settings import load_settings

ADDRESS = "127.0.0.1"


class Server:
    """Serves a page until it is ended."""

    def __init__(self, blocks: gr.Blocks, home: Path, port: int) -> None:
        import uvicorn
        from fastapi import FastAPI

        # Not `launch`: nothing can stand in front of what that starts.
        app = gr.mount_gradio_app(
            FastAPI(), blocks, path="/", server_name=ADDRESS, server_port=port, ssr_mode=False, footer_links=[],
            theme=theme(), css=css(), mcp_server=False, enable_monitoring=False, show_error=False,
        )  # fmt: skip
        guard = guarded(app, allowed_hosts() | hosts_of(load_settings(home).allow_hosts))
        config = uvicorn.Config(guard, host=ADDRESS, port=port, log_level="error", lifespan="on")
        self.url = f"http://{ADDRESS}:{port}"
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def start(self) -> None:
        """Return once it answers.

        Raises:
            Failure: it ended at once.
        """
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise Failure(f"the explorer's server did not start at {self.url}; choose another port with --port")
            time.sleep(0.02)

    def end(self) -> None:
        """Answer nobody any more; a page that is still open is waited for no longer than a moment."""
        self._server.should_exit = True
        self._thread.join(1)
