"""A database is whole from its first moment, or not there."""

import pytest

from tasks.machine.databases import place


def _make(text):
    return lambda path: path.write_text(text)


@pytest.fixture
def template(tmp_path):
    return tmp_path / "template.db"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "home" / "some.db"


def test_it_is_made_where_nothing_is_prepared(path, template):
    place(path, template, _make("made"))
    assert path.read_text() == "made" and list(path.parent.iterdir()) == [path]


def test_a_prepared_one_is_copied(path, template):
    template.write_text("prepared")
    place(path, template, _make("made"))
    path.write_text("used")
    assert template.read_text() == "prepared"


def test_one_that_is_there_is_left_alone(path, template):
    path.parent.mkdir()
    path.write_text("mine")
    template.write_text("prepared")
    place(path, template, _make("made"))
    assert path.read_text() == "mine"


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
        made.write_text("second")

    place(path, template, make)
    assert path.read_text() == "first"


def test_what_a_killed_one_left_is_removed_and_a_living_one_s_is_not(path, template):
    import psutil

    me = psutil.Process()
    for owner in ("1.1", f"{me.pid}.{int(me.create_time())}"):
        (path.parent / f".making-{owner}-x").mkdir(parents=True)
    place(path, template, _make("made"))
    assert [p.name for p in path.parent.glob(".making-*")] == [f".making-{me.pid}.{int(me.create_time())}-x"]
