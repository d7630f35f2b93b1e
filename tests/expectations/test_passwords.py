"""What SQLAlchemy takes for a password is in no message and in no config."""

import pytest
import sqlalchemy as sa
from hypothesis import assume, given
from hypothesis import strategies as st
from sqlalchemy.exc import ArgumentError

from expectations.errors import UserError
from expectations.passwords import redacted
from flows.config import check_config, load_config

WORD = "Xy7secret"
NAMES = ["password", "sslpassword", "pwd", "token", "private_key", "api_key", "access_key", "secret", "passphrase"]
HARMLESS = [
    "http://127.0.0.1:4200/api",
    "postgresql://reader@db:5432/shop?sslmode=verify-full&sslkey=/etc/client.key",
    "postgresql://${NAME}:${PASSWORD}@db/shop",
    "sqlite:////folder/file.db",
]


def refused(url: str) -> str:
    with pytest.raises(UserError, match="it has a password in it") as told:
        check_config({"source": {"kind": "sql", "url": url, "table": "t"}}, "night.yaml")
    with pytest.raises(UserError, match=r"must be section\.key=value") as beside:
        load_config(None, [url.replace("=", "")])
    return str(told.value) + (str(beside.value) if "=" not in url else "")


@given(st.text(st.sampled_from("a1/:?#&[ %'é"), max_size=4), st.text(st.sampled_from('b2/:?#&] %"é'), max_size=4))
def test_a_password_of_any_letters_is_refused_and_not_printed(before, after):
    url = f"postgresql://reader:{before}{WORD}{after}@db/shop"
    try:
        assume(WORD in str(sa.make_url(url).password))
    except (ArgumentError, ValueError):
        assume(False)
    assert WORD not in refused(url)
    if " " not in url:
        assert WORD not in redacted(f"{url} does not answer")


@pytest.mark.parametrize("user", ["reader", "reader@azure", ""])
@pytest.mark.parametrize("password", [WORD, f"pa/{WORD}", f"p@{WORD}", f"{WORD}/@"])
def test_a_password_is_found_behind_every_user(user, password):
    assert WORD not in refused(f"postgresql://{user}:{password}@db/shop")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("between", ["?", "?user=u&", "?odbc_connect=UID%3Du%3B"])
def test_a_parameter_that_is_secret_is_refused_and_not_printed(name, between):
    equals = "%3D" if "odbc" in between else "="
    assert WORD not in refused(f"postgresql://db/shop{between}{name}{equals}{WORD}")


@pytest.mark.parametrize("url", HARMLESS)
def test_a_url_without_one_is_as_it_was(url):
    check_config({"source": {"kind": "sql", "url": url, "table": "t"}}, "night.yaml")
    if "$" not in url:
        assert redacted(f"{url} does not answer") == f"{url} does not answer"
