"""One place is one place, whatever it is called; what no place can be is said in a sentence."""

from dataclasses import replace

import pytest

from expectations.errors import UserError
from tasks.sources.catalogue import known_by
from tasks.sources.config import ItemsFile, SourceConfig

LOG = "user,item,time\n1,7,2025-03-01T06:00:00Z\n2,8,2025-03-02T06:00:00Z\n"
ITEMS = ItemsFile(path="items.csv", title="title")


@pytest.fixture
def folder(tmp_path):
    """A log with items beside it, and a link to both."""
    folder = tmp_path / "set [1] * $x %2F #1?x=2&y"
    folder.mkdir()
    (folder / "log.csv").write_text(LOG)
    (folder / "items.csv").write_text("item,title\n7,Seven\n8,Eight\n")
    (tmp_path / "link").symlink_to(folder)
    return folder


def table(path, items=ITEMS, **settings):
    return SourceConfig(kind="table", path=str(path), items=items, **settings)


def test_every_name_of_a_folder_is_the_same_place(folder, tmp_path, look, home, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    link = tmp_path / "link"
    ways = [
        table(folder),
        table(link),
        table(f"{folder}/../link/."),
        table("link"),
        table("~/link"),
        table(folder, replace(ITEMS, path=f"../{folder.name}/items.csv")),
        table(folder, replace(ITEMS, path=str(link / "items.csv"))),
        table(link, replace(ITEMS, path=str(folder / "items.csv"))),
    ]
    first = look(ways[0])
    for way in ways:
        found = look(way)
        assert (found.folder, found.days, found.notes) == (first.folder, first.days, ())
        assert known_by(found, "2025-03-02").digests == known_by(first, "2025-03-02").digests
    assert len(list((home / "scratch" / "sources").iterdir())) == 1


def test_a_link_to_a_file_is_read_as_what_the_link_is_called(folder, look):
    (folder / "blob").write_text(LOG)
    (folder / "log.csv").unlink()
    (folder / "log.csv").symlink_to("blob")
    assert look(table(folder)).rows == look(table(folder / "log.csv")).rows == {"2025-03-01": 1, "2025-03-02": 1}


@pytest.mark.parametrize("target", [".", "..", "inner"])
def test_a_circle_of_links_is_one_sentence(folder, look, target):
    (folder / "inner").mkdir()
    (folder / "inner" / "again").symlink_to(folder if target == "inner" else target)
    with pytest.raises(UserError, match=r"^source.path: .*again is a link to .*, a folder that it is in; take the"):
        look(table(folder))


def test_a_folder_may_be_linked_beside_itself(folder, look):
    (folder / "day=1").mkdir()
    (folder / "log.csv").rename(folder / "day=1" / "log.csv")
    (folder / "day=2").symlink_to("day=1")
    assert "2 rows repeat" in look(table(folder)).notes[0]


@pytest.mark.parametrize(("target", "how"), [("/nowhere/x.csv", "leads to nothing"), ("x.csv", "leads in a circle")])
def test_a_link_to_nothing_is_one_sentence(folder, look, target, how):
    (folder / "x.csv").symlink_to(target)
    with pytest.raises(UserError, match=rf"^source.path: .*x.csv is a link to {target} and {how}; correct it or take"):
        look(table(folder))
    with pytest.raises(UserError, match=how):
        look(table(folder / "x.csv"))
    with pytest.raises(UserError, match=f"^source.items.path: .*{how}"):
        look(table(folder / "log.csv", replace(ITEMS, path="x.csv")))


@pytest.mark.parametrize("name", ["log (1).csv", "log copy.csv", "log - Copy.csv", "log copy 2.csv"])
def test_what_is_called_a_copy_of_a_file_beside_it_is_not_read_with_it(folder, look, name):
    (folder / name).write_text(LOG.replace("T06", "T07"))
    with pytest.raises(UserError, match=r"is called like a copy of log.csv beside it, whose rows would count twice"):
        look(table(folder))
    assert look(table(folder, strict=False)).rows == {"2025-03-01": 2, "2025-03-02": 2}
    (folder / "log.csv").rename(folder / "log (2).csv")
    assert look(table(folder)).rows == {"2025-03-01": 2, "2025-03-02": 2}
