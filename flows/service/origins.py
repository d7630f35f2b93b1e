"""Who may ask our servers: pages of their own, under the names they are reached by, and programs.

A browser on this machine reaches loopback for any page of any site, and a server cannot tell the person from the page.
So every server of ours stands behind `guarded`, which goes by what a browser says and no page can change: which host
was asked (`Host`; a foreign name that was made to point at loopback is refused), whose page asks (`Origin`) and from
how far away (`Sec-Fetch-Site`). Programs send neither of the last two. No header lets other sites read an answer.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from expectations.errors import UserError

Scope = dict[str, Any]
App = Callable[[Scope, Any, Any], Coroutine[Any, Any, None]]
"""An ASGI application."""

VARIABLE = "NIGHTJAR_ALLOW_HOSTS"
"""Environment variable with further names, with commas between them, for servers that `nightjar up` does not start."""

_REMEDY = f"nightjar up --allow-hosts {{}}, or {VARIABLE} in the environment of this server"
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
_PORTS = {"http": "80", "https": "443"}
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:(?P<port>\d{1,5}))?", re.ASCII)
_ADDED = {b"x-frame-options": b"SAMEORIGIN", b"x-content-type-options": b"nosniff"}
"""In a frame, another site could have its visitors click on a page of ours unseen."""


@dataclass(frozen=True)
class Host:
    """A host by its name in small letters, and its port where one was written."""

    name: str
    port: str = ""

    def __str__(self) -> str:
        return f"{self.name}:{self.port}" if self.port else self.name

    @property
    def is_loopback(self) -> bool:
        if self.name == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.name.strip("[]")).is_loopback
        except ValueError:
            return False


def hosts_of(text: str) -> frozenset[Host]:
    """Names under which a service is reached: `HOST` or `HOST:PORT`, with commas between them.

    Raises:
        UserError: one is no name of a host.
    """
    found = set()
    for word in filter(None, (part.strip() for part in text.split(","))):
        host = _page(word) if "://" in word else _host(word)
        if host is None:
            raise UserError(
                f"--allow-hosts: {word!r} is no HOST or HOST:PORT; write the names under which people reach the "
                "service, such as nightjar.example.com,10.0.0.7:4200"
            )
        found.add(host)
    return frozenset(found)


def guarded(app: App, allowed: Iterable[Host], health: str = "") -> App:
    """An ASGI application that answers its own pages and programs only.

    Args:
        allowed: names under which it is reached, beside those of loopback.
        health: path that anybody may GET under any name, as those do who watch over containers.
    """
    names = frozenset(allowed)

    async def guard(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" or (health and scope["path"] == health and scope.get("method") == "GET"):
            return await app(scope, receive, send)
        why = refusal(scope, names)
        if not why:
            return await app(scope, receive, _closed(send))
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008, "reason": ""})
        body = why.encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        return await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return guard


def allowed_hosts() -> frozenset[Host]:
    """Further names, as the environment of a server has them."""
    return hosts_of(os.environ.get(VARIABLE, ""))


def refusal(scope: Scope, allowed: frozenset[Host]) -> str:
    """Why a request is not answered, with the remedy; empty when it is."""
    asked = _values(scope, b"host")
    host = _host(asked[0]) if len(asked) == 1 else None
    if host is None or not (host.is_loopback or host.name in {one.name for one in allowed}):
        return (
            f"nobody is answered who asks for {', '.join(asked)[:200]!r}, which is no name of this service; if people "
            f"reach it by that name, say so: {_REMEDY.format(host.name if host else 'HOST')}"
        )
    method = scope.get("method", "GET")
    if method not in METHODS:
        return f"{method[:20]} is not answered here"
    for origin in _values(scope, b"origin"):
        page = _page(origin)
        if page is None or page not in {_with_port(one, page.port) for one in (host, *allowed)}:
            return (
                f"a page of {origin[:200]!r} may ask nothing of {host}; if people reach this service by that address, "
                f"say so: {_REMEDY.format(page or 'HOST')}"
            )
    distance = _values(scope, b"sec-fetch-site")
    if all(word in ("same-origin", "none") for word in distance) or _is_link(scope, method):
        return ""
    return f"a page of another site may ask nothing of {host}; open the address itself"


def _is_link(scope: Scope, method: str) -> bool:
    """Whether somebody follows a link to a page, which the page with the link can neither read nor frame."""
    kind = _values(scope, b"sec-fetch-mode"), _values(scope, b"sec-fetch-dest")
    return scope["type"] == "http" and method in ("GET", "HEAD") and kind == (["navigate"], ["document"])


def _page(origin: str) -> Host | None:
    """The host of an origin, always with its port; None for `null` and whatever else is no page of a server."""
    scheme, _, rest = origin.lower().partition("://")
    page = _host(rest)
    return Host(page.name, page.port or _PORTS[scheme]) if page and scheme in _PORTS else None


def _with_port(host: Host, port: str) -> Host:
    """A host that was named without its port: at the port of its kind of address, where `port` is one."""
    return Host(host.name, host.port or (port if port in _PORTS.values() else ""))


def _host(text: str) -> Host | None:
    found = _HOST.fullmatch(text.lower())
    name = found["name"].rstrip(".") if found else ""
    return Host(name, found["port"] or "") if found and name else None


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for key, value in scope["headers"] if key.lower() == name]


def _closed(send: Any) -> Any:
    """What sends an answer that no other site may read, nor show in a frame."""

    async def sent(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            kept = [(k, v) for k, v in message.get("headers", ()) if not _is_replaced(k.lower())]
            message = {**message, "headers": [*kept, *_ADDED.items()]}
        await send(message)

    return sent


def _is_replaced(header: bytes) -> bool:
    return header.startswith(b"access-control-") or header in _ADDED
