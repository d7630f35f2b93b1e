"""Whom the guard of our servers answers: by what browsers say of a page, and no page can change."""

import asyncio
from typing import Any

import pytest

from expectations.errors import UserError
from flows.service.origins import guarded, hosts_of

HERE = "127.0.0.1:4200"
BEHIND_A_PROXY = "nightjar.example.com, 10.0.0.7:4200, https://other.example.com:8443"


def ask(method="GET", allow="", path="/api/flows", kind="http", **headers):
    """Status, headers and text that the guard answers; 200 where the application behind it was reached."""

    async def application(scope, receive, send):
        if kind == "websocket":
            return await send({"type": "websocket.accept"})
        opening = [(b"Access-Control-Allow-Origin", b"*"), (b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": opening})
        return await send({"type": "http.response.body", "body": b"reached"})

    sent = []

    async def send(message):
        sent.append(message)

    named = {"host": HERE} | {name.replace("_", "-"): value for name, value in headers.items()}
    raw = [(n.encode(), v.encode()) for n, values in named.items() if values is not None
           for v in ([values] if isinstance(values, str) else values)]  # fmt: skip
    scope = {"type": kind, "path": path, "headers": raw} | ({"method": method} if kind == "http" else {})
    asyncio.run(guarded(application, hosts_of(allow), "/api/health")(scope, None, send))
    if kind == "websocket":
        return ("open" if sent == [{"type": "websocket.accept"}] else "closed"), {}, ""
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"].decode()


def status(*arguments, **headers):
    return ask(*arguments, **headers)[0]


METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
FOREIGN: dict[str, dict[str, Any]] = {
    "another site": {"origin": "https://evil.example"},
    "another port of loopback": {"origin": "http://127.0.0.1:8888"},
    "the other name of loopback": {"origin": "http://localhost:4200"},
    "the same name at its usual port": {"origin": "http://127.0.0.1"},
    "a file or a sandbox": {"origin": "null"},
    "an extension": {"origin": "chrome-extension://abcdef"},
    "a name that begins like ours": {"origin": "http://127.0.0.1:4200.evil.example"},
    "a name before ours": {"origin": "http://evil.example@127.0.0.1:4200"},
    "one of two": {"origin": ["http://127.0.0.1:4200", "https://evil.example"]},
    "nothing at all": {"origin": ""},
    "a cross-site page": {"sec_fetch_site": "cross-site"},
    "a same-site page": {"sec_fetch_site": "same-site", "sec_fetch_mode": "cors"},
    "a foreign frame": {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"},
}


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("page", FOREIGN)
def test_no_page_of_another_place_is_answered(page, kind):
    refused = 403 if kind == "http" else "closed"
    for method in METHODS if kind == "http" else ("GET",):
        for content in ("application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            assert status(method, kind=kind, content_type=content, **FOREIGN[page]) == refused


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:4200", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.8", "0.0.0.0",
     "127.0.0.1@evil.example", "[::1", "", ".", None, ["127.0.0.1:4200", "evil.example"], "127.0.0.1 evil.example"],
)  # fmt: skip
def test_no_name_that_somebody_else_made_point_here_is_answered(host, kind):
    refused = 403 if kind == "http" else "closed"
    assert {status(method, kind=kind, host=host) for method in METHODS} == {refused}
    of_that_page = {"origin": f"http://{host}", "sec_fetch_site": "same-origin"}
    assert status("POST", kind=kind, host=host, **of_that_page) == refused


@pytest.mark.parametrize("host", ["127.0.0.1:4200", "localhost:4200", "LOCALHOST", "[::1]:4200", "127.0.0.2:4200"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_its_own_pages_and_programs_are_answered(host, kind):
    reached = 200 if kind == "http" else "open"
    for method in METHODS:
        assert status(method, kind=kind, host=host) == reached, "a program"
        own = {"origin": f"http://{host.lower()}", "sec_fetch_site": "same-origin", "sec_fetch_mode": "cors"}
        assert status(method, kind=kind, host=host, **own) == reached, "a page"
    typed = {"sec_fetch_site": "none", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert status(host=host, **typed) == 200


def test_a_link_from_anywhere_may_be_followed_and_nothing_else():
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert status("GET", **link) == 200
    assert status("POST", **link) == 403, "a form"
    assert status("GET", kind="websocket", **link) == "closed"
    assert status("GET", **(link | {"sec_fetch_dest": "embed"})) == 403


def test_methods_that_no_client_has_are_refused():
    assert {status(method) for method in ("TRACE", "CONNECT", "PROPFIND", "get")} == {403}


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("nightjar.example.com", "https://nightjar.example.com"),
        ("nightjar.example.com", "http://nightjar.example.com"),
        ("nightjar.example.com:4200", "http://nightjar.example.com:4200"),
        ("10.0.0.7:4200", "http://10.0.0.7:4200"),
        ("other.example.com", "https://other.example.com:8443"),  # a proxy that leaves out the port
        ("127.0.0.1:4200", "https://nightjar.example.com"),  # a proxy that asks by its own name for us
    ],
)
def test_names_that_were_allowed_are_answered(host, origin):
    own = {"host": host, "origin": origin, "sec_fetch_site": "same-origin"}
    assert status("POST", allow=BEHIND_A_PROXY, **own) == 200
    assert status("POST", **own) == 403
    assert status("POST", allow=BEHIND_A_PROXY, **(own | {"sec_fetch_site": "cross-site"})) == 403
    assert status("POST", allow=BEHIND_A_PROXY, **(own | {"origin": "https://evil.example"})) == 403


def test_a_port_that_was_not_allowed_is_another_page():
    for origin in ("https://nightjar.example.com:9000", "http://10.0.0.7", "https://other.example.com"):
        assert status("POST", allow=BEHIND_A_PROXY, host="10.0.0.7:4200", origin=origin) == 403


def test_those_who_watch_over_containers_ask_by_any_name_and_only_for_its_health():
    assert status(path="/api/health", host="10.1.2.3:4200") == 200
    assert status("POST", path="/api/health", host="10.1.2.3:4200") == 403
    assert status(path="/api/health/../flows", host="10.1.2.3:4200") == 403


def test_a_refusal_says_what_to_do():
    _, headers, text = ask(host="nightjar.example.com:8443")
    assert text.endswith(
        "say so: nightjar up --allow-hosts nightjar.example.com, or NIGHTJAR_ALLOW_HOSTS in the environment of this "
        "server"
    )
    assert headers[b"content-type"].startswith(b"text/plain")
    _, _, text = ask("POST", origin="https://nightjar.example.com:8443")
    assert "nightjar up --allow-hosts nightjar.example.com:8443, or" in text
    assert ask("HEAD", host="evil.example")[2] == ""


def test_no_answer_may_be_read_or_framed_by_others():
    for headers in (ask()[1], ask(origin="http://127.0.0.1:4200")[1], ask(origin="https://evil.example")[1]):
        assert not [name for name in headers if name.lower().startswith(b"access-control-")]
    assert ask()[1].items() >= {b"x-frame-options": b"SAMEORIGIN", b"x-content-type-options": b"nosniff"}.items()


@pytest.mark.parametrize("text", ["*", "a b", "http://", "evil.example/path", "host:port", "ftp://a", ".", "a:123456"])
def test_what_names_no_host_is_refused(text):
    with pytest.raises(UserError, match=r"^--allow-hosts: .* is no HOST or HOST:PORT"):
        hosts_of(f"nightjar.example.com,{text}")
