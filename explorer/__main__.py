"""`python -m explorer`: serve the app on loopback until told to end. `nightjar explore` starts it."""

import argparse
import logging
import signal
import sys
import threading
import webbrowser

from expectations.errors import Failure
from flows.home import home_folder, prepare
from flows.service.processes import is_free, next_free

FIRST_PORT = 7860


def main() -> int:
    """Serve; returns the exit code."""
    parser = argparse.ArgumentParser(prog="nightjar explore")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--no-browser", action="store_true")
    options = parser.parse_args()
    home = home_folder()
    prepare(home)
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if options.port and not is_free(options.port):
        sys.stderr.write(f"error: port {options.port} is taken; choose another with --port, or leave it out\n")
        return 2
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    # Slow to import: the first question would wait for it.
    import mlflow  # noqa: F401

    from explorer.app import build
    from explorer.nights import Nights
    from explorer.server import Server

    nights = Nights(home)
    server = Server(build(home, nights), home, options.port or next_free(FIRST_PORT, set()))
    try:
        server.start()
        sys.stdout.write(f"Nightjar explorer: {server.url}\nCtrl-C ends it\n")
        sys.stdout.flush()
        if not options.no_browser:
            webbrowser.open(server.url)
        ended.wait()
    except Failure as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    finally:
        nights.cancel()
        server.end()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    import os

    # Idle threads of the server would only delay the end.
    os._exit(code)
