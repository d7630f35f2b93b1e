"""A database is whole from its first moment, or not there."""

import sqlite3
from contextlib import closing

import pytest

from expectations.errors import Failure
from tasks.machine.databases import place


def _write(path, name):
    """A database with one table of this name."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"create table {name} (x)")
        database.commit()


def _read(path):
    with closing(sqlite3.connect(path)) as database:
        return database.execute("select name from sqlite_master").fetchone()[0]


def _make(name):
    return lambda path: _write(path, name)


@pytest.fixture
def template(tmp_path):
    return tmp_path / "template.db"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home" / "some.db"


def test_it_is_made_where_nothing_is_prepared(path, template):
    place(path, template, _make("made"))
    assert _read(path) == "made" and list(path.parent.iterdir()) == [path]


def test_a_prepared_one_is_copied(path, template):
    _write(template, "prepared")
    place(path, template, _make("made"))
    _write(path, "used")
    assert _read(template) == "prepared"


def test_one_that_is_there_is_left_alone(path, template):
    path.parent.mkdir()
    _write(path, "mine")
    _write(template, "prepared")
    place(path, template, _make("made"))
    assert _read(path) == "mine"


def _without_tables(path):
    _write(path, "gone")
    with closing(sqlite3.connect(path)) as database:
        database.execute("drop table gone")
        database.commit()


@pytest.mark.parametrize(
    ("lose", "why"),
    [
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"\0" * 8192), "is no SQLite database"),
        (lambda path: path.write_text("<html>"), "is no SQLite database"),
        (lambda path: path.write_bytes(path.read_bytes()[:512]), "damaged"),
        (_without_tables, "has no tables"),
    ],
)
def test_one_that_has_lost_what_was_in_it_is_no_new_one(path, template, lose, why):
    path.parent.mkdir()
    _write(path, "mine")
    lose(path)
    lost = path.read_bytes()
    with pytest.raises(Failure, match=rf"some\.db .*{why}.*backup.*move it away"):
        place(path, template, _make("made"))
    assert path.read_bytes() == lost
    path.rename(path.with_suffix(".lost"))
    place(path, template, _make("made"))
    assert _read(path) == "made"


def test_one_that_somebody_writes_to_is_one(path, template):
    path.parent.mkdir()
    _write(path, "mine")
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("begin exclusive")
        place(path, template, _make("made"))
    assert _read(path) == "mine"


def test_a_making_that_failed_leaves_nothing(path, template):
    def make(made):
        made.write_text("half")
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        place(path, template, make)
    assert list(path.parent.iterdir()) == []


def test_the_first_of_two_wins(path, template):
    def make(made):
        place(path, template, _make("first"))
        _write(made, "second")

    place(path, template, make)
    assert _read(path) == "first"


def test_what_a_killed_one_left_is_removed_and_a_living_one_s_is_not(path, template):
    import psutil

    me = psutil.Process()
    for owner in ("1.1", f"{me.pid}.{int(me.create_time())}"):
        (path.parent / f".making-{owner}-x").mkdir(parents=True)
    place(path, template, _make("made"))
    assert [p.name for p in path.parent.glob(".making-*")] == [f".making-{me.pid}.{int(me.create_time())}-x"]
