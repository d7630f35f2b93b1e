"""How a home tells of places: by whichever folder it is in."""

import shutil
from pathlib import Path

import pytest

from expectations.errors import UserError
from tasks.engine.lake import Lake, Ref
from tasks.engine.leases import hold, home_name, leased
from tasks.machine.home import HomeFacts, change, facts_of, from_here, lake_of, mark_of, opened, registry_of, told

WITHIN = ["lake", "lakes/of mine", "sqlite:///mlflow/other.db"]
ELSEWHERE = ["/somewhere/lake", "s3://bucket/lake", "http://127.0.0.1:5000", "postgresql://u:p@h/db", "sqlite:////x.db"]


@pytest.mark.parametrize("place", WITHIN)
def test_a_place_within_moves_with_the_home(tmp_path, place):
    here, there = tmp_path / "here", tmp_path / "there"
    assert told(here, opened(here, place)) == place and told(here, place) == place
    assert str(here) in opened(here, place) and opened(there, place) == opened(here, place).replace(
        str(here), str(there)
    )


@pytest.mark.parametrize("place", ["", *ELSEWHERE])
def test_a_place_elsewhere_stays_what_it_is(tmp_path, place):
    assert told(tmp_path, place) == opened(tmp_path, place) == from_here(place) == place


def test_a_place_is_the_same_by_path_and_by_url_and_by_another_name_of_the_folder(tmp_path):
    home = tmp_path / "a home"
    home.mkdir()
    (tmp_path / "also").symlink_to(home)
    assert told(home, (home / "lake").as_uri()) == told(home, str(tmp_path / "also" / "lake")) == "lake"


def test_what_somebody_writes_is_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert from_here("../x/lake") == str(tmp_path.parent / "x" / "lake")
    assert from_here("sqlite:///a.db") == f"sqlite:///{tmp_path}/a.db"


def test_lake_and_registry_are_chosen_and_given_back(tmp_path):
    assert lake_of(tmp_path) == str(tmp_path / "lake") and registry_of(tmp_path) == ""
    change(tmp_path, lake="s3://bucket/x", registry=f"sqlite:///{tmp_path}/r.db")
    assert lake_of(tmp_path) == "s3://bucket/x" and registry_of(tmp_path) == f"sqlite:///{tmp_path}/r.db"
    assert str(tmp_path) not in (tmp_path / "home.json").read_text()
    one = change(tmp_path, lake="")
    assert lake_of(tmp_path) == str(tmp_path / "lake") and one.registry == "sqlite:///r.db"
    assert (tmp_path / "home.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"id": 3}', '{"id": "a", "lake": ["x"]}'])
def test_a_damaged_file_ends_the_command_rather_than_lead_to_another_lake(tmp_path, text):
    (tmp_path / "home.json").write_text(text)
    with pytest.raises(UserError, match=r"home\.json cannot be read"):
        lake_of(tmp_path)


def test_a_folder_has_a_mark_that_moves_with_it_and_is_not_copied(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    mark = mark_of(home)
    shutil.copytree(home, tmp_path / "copy")
    assert mark_of(tmp_path / "copy") != mark
    home.rename(tmp_path / "moved")
    assert mark_of(tmp_path / "moved") == mark


def test_a_moved_home_knows_its_leases_and_another_respects_them(tmp_path):
    lake, ref = Lake(str(tmp_path / "lake"), tmp_path), Ref("users", "2026-01-01", "a" * 32)
    homes: list[Path] = [tmp_path / name for name in ("one", "two")]
    for home in homes:
        home.mkdir()
        HomeFacts(mark=mark_of(home)).save(home)
    hold(lake, "night", homes[0], {ref}).end()
    moved = homes[0].rename(tmp_path / "moved")
    assert leased(lake, moved, {"night"}) == set(), "its own records tell what it needs"
    assert leased(lake, moved) == leased(lake, homes[1], {"night"}) == {ref}
    facts = facts_of(moved)
    assert facts and home_name(moved) == facts.id
