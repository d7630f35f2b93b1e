"""Small JSON requests to our own servers on loopback; the standard library only, so that commands stay quick."""

import base64
import json
import time
from typing import Any

from expectations.errors import Failure

BUSY = 503
"""What Prefect answers when its SQLite database is locked by another writer: nothing was done, ask again."""

CROWDED = 500
"""What it answers, after half a minute, when all its connections to the database wait for such a lock."""

TRIES = 3
"""How often a server is asked that is so crowded, or lets its time run out."""


def answers(url: str, timeout_s: float = 3.0) -> bool:
    """Whether a server says at its health address that it is well."""
    try:
        with _open(url, timeout_s=timeout_s) as response:
            return bool(response.status == 200)
    except (OSError, ValueError):
        return False


def call(url: str, body: Any = None, *, method: str = "", auth: str = "", timeout_s: float = 30.0) -> Any:
    """Answer to a GET, or to a POST when there is a body.

    A server that is busy for the moment is asked again. What may be done twice is asked again, too, when there
    is no answer for `timeout_s` or the server failed; the rest is sent once, for it may have been done.

    Raises:
        Failure: no answer, or one that says no.
    """
    from urllib.error import HTTPError

    until, tries = time.monotonic() + timeout_s, TRIES if _may_repeat(url, body, method) else 1
    while True:
        try:
            with _open(url, body, method, auth, timeout_s) as response:
                text = response.read()
            return json.loads(text) if text else None
        except HTTPError as error:
            tries -= error.code == CROWDED
            again = time.monotonic() < until if error.code == BUSY else error.code == CROWDED and tries
            if not again:
                raise Failure(f"{url}: {error.code} {error.read().decode(errors='replace')[:300]}") from error
            time.sleep(0.3)
        except (OSError, ValueError) as error:
            tries -= 1
            # A URLError has the time-out of a connection as its reason.
            if not tries or not isinstance(getattr(error, "reason", error), TimeoutError):
                raise Failure(f"{url}: no answer ({error})") from error


def _may_repeat(url: str, body: Any, method: str) -> bool:
    """Whether it is a question, or gives something a value that it may have already."""
    return method in ("PUT", "PATCH") or (not method and (body is None or url.endswith(("/filter", "/set_state"))))


def _open(url: str, body: Any = None, method: str = "", auth: str = "", timeout_s: float = 3.0) -> Any:
    from urllib.request import ProxyHandler, Request, build_opener

    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"}, method=method or None)
    if auth:
        request.add_header("Authorization", "Basic " + base64.b64encode(auth.encode()).decode())
    # A proxy of the environment knows nothing of this machine's loopback.
    return build_opener(ProxyHandler({})).open(request, timeout=timeout_s)
