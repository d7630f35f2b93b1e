"""A night is the same wherever its home lies, whatever the environment says."""

import os
import stat

import pytest

from expectations.errors import UserError
from flows import home as homes
from flows.cli import doctor
from flows.home import home_folder, plain_name
from tests.homes import Home

ODD = "a $x %2F #1?x=2&y"


@pytest.fixture
def links(tmp_path, monkeypatch):
    (tmp_path / "links").mkdir()
    monkeypatch.setattr(homes, "LINKS", tmp_path / "links")
    return tmp_path / "links"


@pytest.mark.parametrize("name", ["a b", "$x", "a%2Fb", "#1", "x?y=1&z", "it's", "[1]", "*"])
def test_an_odd_home_goes_by_a_plain_name(links, tmp_path, monkeypatch, name):
    monkeypatch.setenv("NIGHTJAR_HOME", str(tmp_path / name))
    found = home_folder()
    assert found.parent == links
    assert found.resolve() == tmp_path / name
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    monkeypatch.setenv("NIGHTJAR_HOME", str(found))  # as a process that it starts is told
    assert home_folder() == found
    found.unlink()  # by a clean-up
    assert home_folder() == found


def test_an_ordinary_home_goes_by_its_own(links, tmp_path):
    for name in ("home", ".nightjar", "a-b_c+d@e,f=g:h~i", "ü"):
        assert plain_name(tmp_path / name) == tmp_path / name
    assert not list(links.iterdir())


def test_a_name_that_somebody_else_has_is_refused(links, tmp_path):
    link = plain_name(tmp_path / "a b")
    link.unlink()
    link.symlink_to(tmp_path)
    with pytest.raises(UserError, match=r"is somebody else's; name another with NIGHTJAR_HOME"):
        plain_name(tmp_path / "a b")


@pytest.mark.slow
def test_a_night_in_the_oddest_of_places_is_the_same(golden, tmp_path):
    home = Home(tmp_path / ODD)
    home.path.mkdir()
    home.config.write_text(golden.config.read_text())
    http, socks = "http://127.0.0.1:9", "socks5://127.0.0.1:9"
    proxies = {"http_proxy": http, "HTTPS_PROXY": http, "all_proxy": socks}
    java = "-Duser.language=tr -Duser.country=TR"
    before = os.umask(0o077)
    try:
        done = home.night(**proxies, TZ="America/Los_Angeles", LC_ALL="C", HOME="/nowhere", JAVA_TOOL_OPTIONS=java)
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stdout + done.stderr
    assert home.digests() == golden.digests()
    assert {p.name for p in tmp_path.iterdir()} == {ODD}, "nothing is written beside it"


def test_doctor_tells_of_a_checkout_of_an_odd_name(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "CONSTRAINTS", tmp_path / "constraints.txt")
    assert not list(doctor._place())
    monkeypatch.setattr(doctor, "CONSTRAINTS", tmp_path / ODD / "constraints.txt")
    (finding,) = doctor._place()
    assert finding.state == "warn"
    assert ODD in finding.says
