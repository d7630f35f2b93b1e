"""Small JSON requests to our own servers."""

import time
from functools import cache
from typing import TYPE_CHECKING, Any

from expectations.errors import Failure

if TYPE_CHECKING:
    import httpx

BUSY = 503
"""What Prefect answers when its SQLite database is locked by another writer: nothing was done, ask again."""

CROWDED = 500
"""What it answers, after half a minute, when all its connections to the database wait for such a lock."""

TRIES = 3
"""How often a server is asked that is so crowded, or lets its time run out."""


def answers(url: str, timeout_s: float = 3.0) -> bool:
    """Whether a server says at its health address that it is well."""
    import httpx

    try:
        return _client().get(url, timeout=timeout_s).status_code == 200
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


def call(url: str, body: Any = None, *, method: str = "", auth: str = "", timeout_s: float = 30.0) -> Any:
    """Answer to a GET, or to a POST when there is a body.

    A server that is busy for the moment is asked again. What may be done twice is asked again, too, when there
    is no answer for `timeout_s` or the server failed; the rest is sent once, for it may have been done.

    Args:
        auth: `user:password`, or empty.

    Raises:
        Failure: no answer, or one that says no.
    """
    import httpx

    verb, user = method or ("GET" if body is None else "POST"), auth.partition(":")
    request = _client().build_request(verb, url, json=body, timeout=timeout_s)
    until, tries = time.monotonic() + timeout_s, TRIES if _may_repeat(url, body, method) else 1
    while True:
        try:
            response = _client().send(request, auth=(user[0], user[2]) if auth else None)
            if response.is_success:
                return response.json() if response.content else None
        except (httpx.HTTPError, ValueError) as error:
            tries -= 1
            if not tries or not isinstance(error, httpx.TimeoutException):
                raise Failure(f"{url}: no answer ({error})") from error
            continue
        tries -= response.status_code == CROWDED
        again = time.monotonic() < until if response.status_code == BUSY else response.status_code == CROWDED and tries
        if not again:
            raise Failure(f"{url}: {response.status_code} {response.text[:300]}")
        time.sleep(0.3)


def _may_repeat(url: str, body: Any, method: str) -> bool:
    """Whether it is a question, or gives something a value that it may have already."""
    return method in ("PUT", "PATCH") or (not method and (body is None or url.endswith(("/filter", "/set_state"))))


@cache
def _client() -> "httpx.Client":
    """Imported late, as a command may ask nothing.

    It keeps no connection, which a server may close at any moment; and no proxy of the environment knows anything of
    this machine's loopback.
    """
    import httpx

    return httpx.Client(trust_env=False, follow_redirects=True, limits=httpx.Limits(max_keepalive_connections=0))
