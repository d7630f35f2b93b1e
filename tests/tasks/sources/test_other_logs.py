"""What was shown, done and searched for, from logs of any shape: all of it, in its place, linked to the plays."""

import csv
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from expectations.errors import UserError
from tasks.sources.catalogue import known_by
from tasks.sources.config import (
    ActionsFile,
    EventColumns,
    ImpressionsFile,
    ItemsFile,
    SearchesFile,
    SourceConfig,
    UsersFile,
)
from tasks.sources.id_lists import as_id_lists
from tasks.sources.other_logs import DAY_OF, impressions_on, linked_watches, logs_beside
from tasks.sources.parsed_files import EPOCH
from tasks.sources.scan import scan
from tasks.sources.searches import words_of
from tasks.sources.state import Scan

TODAY = "2026-01-01"
DAY_S = 86_400
START = 1_583_020_800  # 2020-03-01
DAYS = 3


@dataclass(frozen=True)
class Page:
    """What was shown to somebody at once: items, and which of their places were clicked."""

    user: str
    time: int
    items: tuple[str, ...]
    clicked: frozenset[int] = frozenset()

    @property
    def clicks(self) -> tuple[str, ...]:
        return tuple(self.items[place] for place in sorted(self.clicked))


def pages(*, repeated_items: bool):
    """Pages at different moments; the first and the last moment of all have a click, so that the log has all days."""
    item = st.sampled_from([f"N{n}" for n in range(12)])
    items = st.lists(item, min_size=1, max_size=6, unique=not repeated_items).map(tuple)

    def page(drawn):
        user, time, shown, clicks = drawn
        # Who clicks on an item that is there twice has clicked on the item.
        chosen = {shown[place % len(shown)] for place in clicks}
        return Page(user, START + time, shown, frozenset(n for n, one in enumerate(shown) if one in chosen))

    one = st.tuples(
        st.sampled_from(["u1", "u2", "u3"]), st.integers(1, DAYS * DAY_S - 2), items, st.sets(st.integers(0, 5))
    ).map(page)
    many = st.lists(one, max_size=12, unique_by=lambda made: (made.user, made.time))
    ends = [
        Page("u1", START, ("N0", "N1"), frozenset([1])),
        Page("u2", START + DAYS * DAY_S - 1, ("N2",), frozenset([0])),
    ]
    return many.map(lambda made: [*made, *ends])


def write(path: Path, names: list[str], rows) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",").writerows([names, *rows])


def marks(folder: Path, told: list[Page]) -> ImpressionsFile:
    """As MIND has them: no names, and other columns beside."""
    rows = [
        (n, p.user, p.time, "N90 N91", " ".join(f"{item}-{int(k in p.clicked)}" for k, item in enumerate(p.items)))
        for n, p in enumerate(told)
    ]
    with (folder / "behaviors.tsv").open("w") as file:
        file.writelines("\t".join(map(str, row)) + "\n" for row in rows)
    header = ("impression", "user", "time", "history", "shown")
    return ImpressionsFile(path=str(folder / "behaviors.tsv"), header=header, shown="shown", mark="-")


def two_texts(folder: Path, told: list[Page]) -> ImpressionsFile:
    """Two columns of text with separators."""
    rows = [(p.user, p.time, "|".join(p.items), "|".join(p.clicks)) for p in told]
    write(folder / "lists.csv", ["user", "time", "shown", "hit"], rows)
    return ImpressionsFile(path=str(folder / "lists.csv"), shown="shown", clicked="hit")


def written_lists(folder: Path, told: list[Page]) -> ImpressionsFile:
    """Lists as JSON and as Python write them, within CSV."""
    rows = [(p.user, p.time, json.dumps(p.items), str(list(p.clicks))) for p in told]
    write(folder / "lists.csv", ["user", "time", "shown", "hit"], rows)
    return ImpressionsFile(path=str(folder / "lists.csv"), shown="shown", clicked="hit")


def list_columns(folder: Path, told: list[Page]) -> ImpressionsFile:
    lists = {"shown": [p.items for p in told], "hit": [p.clicks or None for p in told]}
    columns = {name: pa.array(values, pa.list_(pa.string())) for name, values in lists.items()}
    others = {"user": [p.user for p in told], "time": [p.time for p in told]}
    pq.write_table(pa.table(others | columns), folder / "lists.parquet")
    return ImpressionsFile(path=str(folder / "lists.parquet"), shown="shown", clicked="hit")


def objects(folder: Path, told: list[Page]) -> ImpressionsFile:
    """Lists within lines of JSON."""
    lines = [{"user": p.user, "time": p.time, "page": {"shown": p.items, "hit": p.clicks}} for p in told]
    (folder / "lists.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return ImpressionsFile(path=str(folder / "lists.jsonl"), shown="page.shown", clicked="page.hit")


def rows_in_order(folder: Path, told: list[Page]) -> ImpressionsFile:
    """A row an item, whose place its order says."""
    rows = [(p.user, p.time, item, int(n in p.clicked)) for p in told for n, item in enumerate(p.items)]
    write(folder / "rows.csv", ["user", "time", "item", "hit"], rows)
    return ImpressionsFile(path=str(folder / "rows.csv"), clicked="hit")


def _places(page: Page) -> list[tuple[int, str]]:
    return list(enumerate(page.items))


def rows_with_places(folder: Path, told: list[Page]) -> ImpressionsFile:
    """A row an item with its page and place, in any order."""
    rows = [
        (p.user, p.time, item, n + 1, k, n in p.clicked) for k, p in enumerate(told) for n, item in enumerate(p.items)
    ]
    np.random.default_rng(0).shuffle(rows)
    write(folder / "rows.csv", ["user", "time", "item", "place", "page", "hit"], rows)
    return ImpressionsFile(path=str(folder / "rows.csv"), clicked="hit", position="place", request="page")


LISTS = (marks, two_texts, written_lists, list_columns, objects)


def read_back(log: Scan) -> list[Page]:
    """All pages of a scan by outside ids; clicked is what a play is linked to."""
    outside = {kind: log.ids(kind).external.to_pylist() for kind in ("user", "item")}
    found = []
    for day in log.days:
        number = (date.fromisoformat(day) - EPOCH).days
        shown = impressions_on(logs_beside(log)["impressions"], number).table.to_pylist()
        linked = {(r["request_id"], r["item_id"]) for r in linked_watches(log, number).to_pylist()}
        requests: dict[int, list[dict]] = {}
        for row in shown:
            requests.setdefault(row["request_id"], []).append(row)
        for request, rows in requests.items():
            assert [r["position"] for r in rows] == list(range(1, len(rows) + 1))
            clicked = frozenset(n for n, r in enumerate(rows) if (request, r["item_id"]) in linked)
            items = tuple(outside["item"][r["item_id"]] for r in rows)
            found.append(Page(outside["user"][rows[0]["user_id"]], int(rows[0]["time"].timestamp()), items, clicked))
    return found


def in_order(told: list[Page]) -> list[Page]:
    return sorted(told, key=lambda p: (p.user, p.time))


def look(impressions: ImpressionsFile, folder: Path, **others) -> Scan:
    return scan(SourceConfig(kind="table", impressions=impressions, **others), folder / "home", TODAY)


@pytest.mark.parametrize("shape", LISTS, ids=lambda shape: shape.__name__)
@settings(max_examples=15, deadline=None)
@given(told=pages(repeated_items=True))
def test_lists_of_every_shape_are_read_back(shape, told):
    with TemporaryDirectory() as folder:
        assert in_order(read_back(look(shape(Path(folder), told), Path(folder)))) == in_order(told)


@pytest.mark.parametrize("shape", [rows_in_order, rows_with_places], ids=lambda shape: shape.__name__)
@settings(max_examples=15, deadline=None)
@given(told=pages(repeated_items=False))
def test_rows_of_items_are_read_back(shape, told):
    with TemporaryDirectory() as folder:
        assert in_order(read_back(look(shape(Path(folder), told), Path(folder)))) == in_order(told)


TWO_DAYS = [
    Page("u1", START + 60, ("N1", "N2", "N3"), frozenset([1])),
    Page("u2", START + 90, ("N4", "N1")),
    Page("u1", START + DAY_S + 60, ("N5", "N2"), frozenset([0])),
]


def test_what_was_clicked_are_the_plays_where_no_log_says_them(tmp_path):
    log = look(marks(tmp_path, TWO_DAYS), tmp_path)
    assert list(log.rows.values()) == [1, 1] and list(log.positives.values()) == [1, 1]
    assert (log.num_users, log.num_items) == (2, 5), "who and what was shown without a click is known, too"
    assert any("items of the impressions without a play: 3" in note for note in log.notes), log.notes
    assert "no_impressions" not in {s.name for s in log.substitutes}


def test_the_history_in_a_list_is_no_event(tmp_path):
    assert "N90" not in look(marks(tmp_path, TWO_DAYS), tmp_path).ids("item").external.to_pylist()


def test_ids_are_known_from_the_day_on_which_they_were_shown(tmp_path):
    log = look(marks(tmp_path, TWO_DAYS), tmp_path)
    items = known_by(log, "2020-03-01").tables["id_map"].filter(pa.compute.field("kind") == "item")
    assert set(items["external_id"].to_pylist()) == {"N1", "N2", "N3", "N4"}


def plays(folder: Path, *rows: tuple) -> dict:
    write(folder / "plays.csv", ["user", "item", "time"], rows)
    return {"path": str(folder / "plays.csv")}


def linked(log: Scan) -> list[tuple[str, str, int | None]]:
    """User, item, and the place in the day of the request that each play came from."""
    outside = {kind: log.ids(kind).external.to_pylist() for kind in ("user", "item")}
    days = [linked_watches(log, (date.fromisoformat(day) - EPOCH).days).to_pylist() for day in log.days]
    return [
        (outside["user"][r["user_id"]], outside["item"][r["item_id"]], r["request_id"] and r["request_id"] % 2**32)
        for rows in days
        for r in rows
    ]


SHOWN_TWICE = [Page("u1", START + 60, ("a", "b"), frozenset([0])), Page("u1", START + 100, ("b", "a"))]


@pytest.mark.parametrize(("telling", "request_of_a"), [(True, 0), (False, 1)])
def test_plays_come_from_the_last_impression_that_may_have_led_to_them(telling, request_of_a, tmp_path):
    """Of those that were clicked, where that is told; from none, where it was not shown, or only later."""
    write(tmp_path / "rows.csv", ["user", "time", "item", "hit"], [
        (p.user, p.time, item, int(n in p.clicked)) for p in SHOWN_TWICE for n, item in enumerate(p.items)
    ])  # fmt: skip
    rows = [("u1", "b", START + 10), ("u1", "a", START + 200), ("u1", "c", START + 300), ("u2", "a", START + 400)]
    impressions = ImpressionsFile(path="rows.csv", clicked="hit" if telling else "")
    log = look(impressions, tmp_path, **plays(tmp_path, *rows))
    assert linked(log) == [("u1", "b", None), ("u1", "a", request_of_a), ("u1", "c", None), ("u2", "a", None)]
    assert sum(log.rows.values()) == 4, "plays are what the log of plays says"


def test_what_is_delivered_twice_counts_once(tmp_path):
    log = look(marks(tmp_path, [*TWO_DAYS, *TWO_DAYS]), tmp_path)
    lists = look(two_texts(tmp_path, [*TWO_DAYS, *TWO_DAYS]), tmp_path)
    rows = look(rows_in_order(tmp_path, [*TWO_DAYS, *TWO_DAYS]), tmp_path)
    for one in (log, lists, rows):
        assert in_order(read_back(one)) == in_order(TWO_DAYS)
        assert "impressions that repeat others: 7; one of each was kept." in one.notes


def test_a_list_that_is_delivered_again_with_its_click_is_one_request(tmp_path):
    """In whichever shape, and in whichever order the deliveries come."""
    before = [Page(p.user, p.time, p.items) for p in TWO_DAYS]
    for shape in LISTS:
        for n, told in enumerate(([*before, *TWO_DAYS], [*TWO_DAYS, *before])):
            folder = tmp_path / f"{shape.__name__}{n}"
            folder.mkdir()
            assert in_order(read_back(look(shape(folder, told), folder))) == in_order(TWO_DAYS)


@settings(max_examples=15, deadline=None)
@given(told=pages(repeated_items=False), later=st.integers(0, 20))
def test_a_click_that_is_a_row_of_its_own_moves_nothing(told, later):
    """It tells the click of what was shown before it, whose place and time stay."""
    rows = [(k, p.user, p.time, item, 0) for k, p in enumerate(told) for item in p.items]
    clicks = [(k, p.user, min(p.time + later, p.time // DAY_S * DAY_S + DAY_S - 1), item, 1)
              for k, p in enumerate(told) for item in p.clicks]  # fmt: skip
    with TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "rows.csv", ["page", "user", "time", "item", "hit"], rows + clicks)
        shown = ImpressionsFile(path=str(folder / "rows.csv"), clicked="hit", request="page")
        log = look(shown, folder)
        found = sorted((p.user, p.time, p.items) for p in read_back(log))
        assert found == sorted((p.user, p.time, p.items) for p in told)
        linked_to = [request for _, _, request in linked(log)]
        assert None not in linked_to and len(linked_to) == len({click[1:] for click in clicks})


def as_postgres_writes(items: list[str]) -> str:
    """https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO"""
    quoted = [item.replace("\\", "\\\\").replace('"', '\\"') for item in items]
    needs = [bool(set(item) & set('{},"\\ \n\t')) for item in items]
    return "{" + ",".join(f'"{q}"' if need else q for q, need in zip(quoted, needs, strict=True)) + "}"


@given(st.lists(st.text("ab1{},\"\\ ;|'\n", min_size=1).map(str.strip).filter(bool)))
@example(["a", "b c"])
@example([])
def test_arrays_of_postgresql_are_read_back(items):
    assert as_id_lists(pa.array([as_postgres_writes(items)]), "", "here").to_pylist() == [items]


@pytest.mark.parametrize(("text", "separator"), [("{a b}", ""), ("{a, b}", ""), ("{a|b}", "|"), ("{a,b}", "|")])
def test_other_lists_in_braces_are_read(text, separator):
    assert as_id_lists(pa.array([text]), separator, "here").to_pylist() == [["a", "b"]]


@pytest.mark.parametrize(("shown", "clicked"), [("1 2 3", "2.0"), ("1.0 2.0 3.0", "2"), ("[1, 2, 3]", "[2.0]")])
def test_clicks_that_were_floats_on_their_way_are_of_what_was_shown(shown, clicked, tmp_path):
    write(tmp_path / "lists.csv", ["user", "time", "shown", "hit"], [("u1", START, shown, clicked)])
    log = look(ImpressionsFile(path=str(tmp_path / "lists.csv"), shown="shown", clicked="hit"), tmp_path)
    assert read_back(log) == [Page("u1", START, ("1", "2", "3"), frozenset([1]))]


def test_a_place_that_is_taken_moves_others_on(tmp_path):
    write(tmp_path / "rows.csv", ["user", "time", "item", "hit", "place"], [
        ("u1", START, "a", 0, 1), ("u1", START, "b", 1, 1), ("u1", START, "c", 0, 2), ("u1", START, "d", 0, 9),
    ])  # fmt: skip
    log = look(ImpressionsFile(path=str(tmp_path / "rows.csv"), clicked="hit", position="place"), tmp_path)
    table = impressions_on(logs_beside(log)["impressions"], (date(2020, 3, 1) - EPOCH).days).table
    assert table["position"].to_pylist() == [1, 2, 3, 9]


def test_other_columns_arrive(tmp_path):
    rows = [("u1", START, "a", 1, 0.5, "home"), ("u1", START, "b", 0, 0.25, "")]
    write(tmp_path / "rows.csv", ["user", "time", "item", "hit", "chance", "where"], rows)
    shown = ImpressionsFile(path=str(tmp_path / "rows.csv"), clicked="hit", propensity="chance", surface="where")
    log = look(shown, tmp_path)
    table = impressions_on(logs_beside(log)["impressions"], (date(2020, 3, 1) - EPOCH).days).table
    assert table["propensity"].to_pylist() == [0.5, 0.25] and table["surface"].to_pylist() == ["home", None]
    assert "no_propensities" not in {s.name for s in log.substitutes}


BAD_LISTS = {
    "nothing shown": (1, ""),
    "an item without -0 or -1 behind it": (1, "N1-0 N2"),
    "an item without an id": (1, "N1-0 -1"),
    "no user": (1, "N1-0"),
    "an impossible time": (1, "N1-0"),
}


@pytest.mark.parametrize("reason", BAD_LISTS)
def test_a_list_that_cannot_be_used_is_told_with_its_line_and_counted(reason, tmp_path):
    """Whole, as places and clicks of the rest of it would be wrong."""
    user, time = "" if reason == "no user" else "u9", "soon" if reason == "an impossible time" else START + 70
    shown = marks(tmp_path, TWO_DAYS)
    with Path(shown.path).open("a") as file:
        file.write(f"8\t{user}\t{time}\t\t{BAD_LISTS[reason][1]}\n")
    with pytest.raises(UserError, match=rf"(?s)source.impressions: 1 row .*1 row with {reason} \(line 4"):
        look(shown, tmp_path)
    log = look(shown, tmp_path, strict=False)
    assert any(note.startswith(f"Left out: behaviors.tsv: 1 row with {reason}") for note in log.notes)
    assert in_order(read_back(log)) == in_order(TWO_DAYS)


BAD_ROWS = {
    "a click that is neither 1 nor 0": ("u1", START, "a", "2", "1", "1"),
    "a position that is no whole number from 1 to 32,767": ("u1", START, "a", "1", "0", "1"),
    "a propensity that is not above 0 and up to 1": ("u1", START, "a", "1", "1", "0"),
    "no item": ("u1", START, "", "1", "1", "1"),
}


@pytest.mark.parametrize("reason", BAD_ROWS)
def test_a_row_that_cannot_be_used_is_told_and_counted(reason, tmp_path):
    good = ("u1", START, "b", "1", "2", ".5")
    write(tmp_path / "rows.csv", ["user", "time", "item", "hit", "place", "chance"], [good, BAD_ROWS[reason]])
    shown = ImpressionsFile(path=str(tmp_path / "rows.csv"), clicked="hit", position="place", propensity="chance")
    with pytest.raises(UserError, match=f"1 row with {reason} \\(line 3"):
        look(shown, tmp_path)
    assert sum(logs_beside(look(shown, tmp_path, strict=False))["impressions"].rows.values()) == 1


def test_a_click_on_what_was_not_shown_is_told(tmp_path):
    write(
        tmp_path / "lists.csv", ["user", "time", "shown", "hit"], [("u1", START, "a b", "c"), ("u1", START, "a b", "b")]
    )
    shown = ImpressionsFile(path=str(tmp_path / "lists.csv"), shown="shown", clicked="hit")
    with pytest.raises(UserError, match=r"1 row with a click on what was not shown \(line 2: hit 'c'\)"):
        look(shown, tmp_path)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"shown": "list"}, r"there is no column 'list'; it has .* under source.impressions"),
        ({"user": "who", "clicked": "hit"}, r"there is no column 'who'"),
        ({"item": "", "shown": "shown", "clicked": "shwn"}, r"Did you mean 'shown'"),
    ],
)
def test_a_missing_column_is_one_sentence(columns, words, tmp_path):
    shown = two_texts(tmp_path, TWO_DAYS)
    with pytest.raises(UserError, match=words):
        look(ImpressionsFile(path=shown.path, **{"clicked": "hit", **columns}), tmp_path)


@pytest.mark.parametrize(
    "settings_",
    [
        {"shown": "a", "position": "b"},
        {"shown": "a", "propensity": "b"},
        {"mark": "-"},
        {"shown": "a", "mark": "-", "clicked": "b"},
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings_):
    with pytest.raises(ValueError, match="leave"):
        ImpressionsFile(path="x", **settings_)


def test_a_source_without_plays_and_clicks_is_refused():
    with pytest.raises(ValueError, match="do not say what was clicked"):
        SourceConfig(kind="table", impressions=ImpressionsFile(path="x"))
    with pytest.raises(ValueError, match="kind table or sql"):
        SourceConfig(kind="movielens", path="x", searches=SearchesFile(path="x"))


def test_a_log_in_which_nothing_was_clicked_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="was clicked, so there is no play to learn from"):
        look(marks(tmp_path, [Page("u1", START, ("a", "b"))]), tmp_path)


def test_more_than_there_are_places_is_one_sentence(tmp_path):
    write(tmp_path / "rows.csv", ["user", "time", "item", "hit"], [("u1", START, n, 1) for n in range(2**15)])
    with pytest.raises(UserError, match=r"place 32,768 of one request"):
        look(ImpressionsFile(path=str(tmp_path / "rows.csv"), clicked="hit"), tmp_path)


def test_how_many_plays_came_from_what_was_shown_is_told(tmp_path):
    shown = rows_in_order(tmp_path, [Page("u1", START, ("a", "b"))])
    rows = [("u1", "a", START + 9), ("u1", "b", START + 9), ("u2", "a", START + 9), ("u1", "a", START + DAY_S)]
    log = look(ImpressionsFile(path=shown.path), tmp_path, **plays(tmp_path, *rows))
    assert "2 of 4 plays (50%) came from an impression before them on their day." in log.notes
    none = look(ImpressionsFile(path=shown.path), tmp_path, **plays(tmp_path, *rows[2:]))
    assert any(note.startswith("None of the 2 plays came from an impression") for note in none.notes), none.notes


def test_remedies_name_settings_that_are_allowed_where_clicks_are_the_plays(tmp_path):
    shown = marks(tmp_path, [Page("u1", START + n, ("a", f"N{n}"), frozenset([1])) for n in range(20)])
    write(tmp_path / "items.csv", ["item"], [[f"film {n}"] for n in range(20)])
    attempts = ({"positive_min_rating": 4}, {"items": ItemsFile(path="items.csv")})
    for settings_ in attempts:
        with pytest.raises(UserError) as told:
            look(shown, tmp_path, **settings_)
        assert "source.columns" not in str(told.value)
    assert "Map the columns of the same ids (source.impressions," in str(told.value)


# --- actions and searches ------------------------------------------------------------------------------------------


def table_of(log: Scan, name: str) -> list[dict]:
    """All rows with outside ids."""
    outside = {kind: log.ids(kind).external.to_pylist() for kind in ("user", "item")}
    rows = []
    for day in log.days:
        for row in DAY_OF[name](logs_beside(log)[name], (date.fromisoformat(day) - EPOCH).days).table.to_pylist():
            for column, kind in (("user_id", "user"), ("item_id", "item"), ("clicked_item_id", "item")):
                if row.get(column) is not None:
                    row[column] = outside[kind][row[column]]
            rows.append(row)
    return rows


PLAYED = [("u1", "a", START), ("u2", "b", START + DAY_S)]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(
    st.sampled_from(["u1", "u5"]), st.sampled_from(["a", "q", ""]), st.integers(0, DAY_S),
    st.sampled_from(["like", "love", "view", "rate"]), st.sampled_from(["", "1", "4.5"]),
), min_size=1, max_size=12))  # fmt: skip
def test_actions_are_read_back(rows):
    rows = [*rows, ("u2", "a", DAY_S, "share", "")]
    with TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "actions.csv", ["who", "what", "time", "did", "stars"], [
            (u, i, START + t, did, stars) for u, i, t, did, stars in rows
        ])  # fmt: skip
        actions = ActionsFile(
            path="actions.csv",
            user="who",
            item="what",
            action="did",
            value="stars",
            kinds=(("love", "like"), ("view", "")),
        )
        log = scan(SourceConfig(kind="table", actions=actions, **plays(folder, *PLAYED)), folder / "home", TODAY)
        want = {
            (u, i or None, START + t, {"love": "like"}.get(did, did), float(stars) if stars else None)
            for u, i, t, did, stars in rows
            if did != "view"
        }
        found = table_of(log, "actions")
        told = [(r["user_id"], r["item_id"], int(r["time"].timestamp()), r["action"], r["value"]) for r in found]
        assert sorted(told, key=repr) == sorted(want, key=repr)
        assert len({r["action_id"] for r in found}) == len(found)


def test_actions_of_other_words_are_told_with_the_remedy(tmp_path):
    write(tmp_path / "actions.csv", ["user", "item", "time", "action"], [("u1", "a", START, "adore")])
    config = SourceConfig(kind="table", actions=ActionsFile(path="actions.csv"), **plays(tmp_path, *PLAYED))
    with pytest.raises(UserError, match=r"none of browse, .* say in source.actions.kinds .*action 'adore'"):
        scan(config, tmp_path / "home", TODAY)


def test_rows_that_are_passed_over_may_have_anything_in_them(tmp_path):
    """And so may the values of actions that have none; all else is refused as ever."""
    rows = [
        ("", "a", START, "view", "x"), ("u1", "a", "soon", "view", ""), ("u1", "a", START, "share", "by mail"),
        ("u1", "b", START, "rate", "4"),
    ]  # fmt: skip
    actions = ActionsFile(path="actions.csv", value="value", kinds=(("view", ""),))
    config = SourceConfig(kind="table", actions=actions, **plays(tmp_path, *PLAYED))

    def read(*more):
        write(tmp_path / "actions.csv", ["user", "item", "time", "action", "value"], [*rows, *more])
        log = scan(config, tmp_path / "home", TODAY)
        return [(r["action"], r["item_id"], r["value"]) for r in table_of(log, "actions")]

    assert sorted(read()) == [("rate", "b", 4), ("share", "a", None)]
    for bad, why in {("", "a", START, "share", ""): "no user", ("u1", "a", START, "rate", "x"): "no number"}.items():
        with pytest.raises(UserError, match=f"1 row with .*{why}"):
            read(bad)


@pytest.mark.parametrize("kinds", [{1: "like"}, {"view": None}, {"heart": "like", "view": ""}, {}])
def test_words_of_actions_are_whatever_yaml_makes_of_them(kinds):
    made = ActionsFile(kinds=kinds)
    assert dict(made.kinds) == {str(word): kind or "" for word, kind in kinds.items()}
    assert ActionsFile(kinds=json.loads(json.dumps(made.kinds))) == made, "as they come back from a record"


@pytest.mark.parametrize(
    ("kinds", "words"), [({"heart": "adore"}, "'heart' is 'adore'"), ({"a": 1}, "'a' is 1"), ("like", "heart: like")]
)
def test_a_word_that_is_no_kind_is_named(kinds, words):
    with pytest.raises(ValueError, match=words):
        ActionsFile(kinds=kinds)


NEEDED = [
    (of, name)
    for of, names in {
        EventColumns: ("user", "item", "time"),
        UsersFile: ("id",),
        ItemsFile: ("id",),
        ImpressionsFile: ("user", "item", "time"),
        ActionsFile: ("user", "time", "action"),
        SearchesFile: ("user", "time", "text"),
    }.items()
    for name in names
]


@pytest.mark.parametrize(("of", "name"), NEEDED)
def test_a_column_that_every_row_needs_has_a_name(of, name):
    with pytest.raises(ValueError, match=f"{name} is empty, and every row needs one"):
        of(**{name: ""})


HEADS: dict[str, tuple[str, str, Any]] = {
    "impressions": ("user,item,time", "u1,a,{time}", ImpressionsFile(path="beside.csv")),
    "actions": ("user,item,time,action", "u1,a,{time},view", ActionsFile(path="beside.csv", kinds=(("view", ""),))),
    "searches": ("user,time,query", "u1,{time},x", SearchesFile(path="beside.csv")),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_log_with_nothing_in_it_beside_the_plays_counts_as_absent(name, tmp_path):
    head, row, of = HEADS[name]
    texts = ["", f"{head}\n", f"{head}\n{row.format(time='soon' if name != 'actions' else START)}\n"]
    for text in texts:
        (tmp_path / "beside.csv").write_text(text)
        config = SourceConfig(kind="table", strict=False, **{name: of}, **plays(tmp_path, *PLAYED))
        log = scan(config, tmp_path / "home", TODAY)
        assert logs_beside(log) == {} and sum(log.rows.values()) == 2
        word = {"impressions": "impression", "actions": "action", "searches": "search"}[name]
        assert any(f"beside.csv has no usable {word}: it counts as absent" in note for note in log.notes), log.notes
        assert linked(log) == [("u1", "a", None), ("u2", "b", None)]
        assert "no_impressions" in {s.name for s in log.substitutes}
        assert "no_propensities" not in {s.name for s in log.substitutes}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(
    st.sampled_from(["u1", "u5"]), st.integers(0, DAY_S), st.sampled_from(["Spring Sun", "sci-fi!", "été 7", "?"]),
    st.sampled_from(["a", "q", ""]),
), min_size=1, max_size=12))  # fmt: skip
def test_searches_are_read_back(rows):
    with TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "searches.csv", ["user", "time", "text", "hit"], [(u, START + t, q, i) for u, t, q, i in rows])
        searches = SearchesFile(path="searches.csv", text="text", clicked_item="hit")
        log = scan(SourceConfig(kind="table", searches=searches, **plays(folder, *PLAYED)), folder / "home", TODAY)
        found = table_of(log, "searches")
        told = [(r["user_id"], int(r["time"].timestamp()), r["query"], r["clicked_item_id"]) for r in found]
        assert sorted(told, key=repr) == sorted({(u, START + t, q, i or None) for u, t, q, i in rows}, key=repr)


def test_the_words_of_a_query():
    assert words_of(pa.array(["Spring Sun", " sci-fi! ", "Été 7", "?"])).to_pylist() == [
        ["spring", "sun"], ["sci", "fi"], ["été", "7"], [],
    ]  # fmt: skip


def test_all_logs_may_stand_beside_the_plays_in_one_folder(tmp_path):
    marks(tmp_path, TWO_DAYS)
    write(tmp_path / "searches.csv", ["user", "time", "query"], [("u7", START, "x")])
    write(tmp_path / "plays.csv", ["user", "item", "time"], PLAYED)
    header = ("impression", "user", "time", "history", "shown")
    config = SourceConfig(
        kind="table",
        path=str(tmp_path),
        impressions=ImpressionsFile(path="behaviors.tsv", header=header, shown="shown", mark="-"),
        searches=SearchesFile(path="searches.csv"),
    )
    log = scan(config, tmp_path / "home", TODAY)
    assert set(logs_beside(log)) == {"impressions", "searches"} and sum(log.rows.values()) == 2
    assert "u7" in log.ids("user").external.to_pylist()


def test_what_is_beside_the_days_of_the_plays_is_told(tmp_path):
    write(tmp_path / "searches.csv", ["user", "time", "query"], [("u1", START, "x"), ("u1", START + 9 * DAY_S, "y")])
    config = SourceConfig(kind="table", searches=SearchesFile(path="searches.csv"), **plays(tmp_path, *PLAYED))
    log = scan(config, tmp_path / "home", TODAY)
    assert "searches of days before the first play or after the last: 1; they are not used." in log.notes


@pytest.mark.parametrize("kind", ["table", "sql"])
def test_times_of_each_log_may_be_written_in_a_way_of_their_own(kind, tmp_path):
    """Where it has none, they are as those of the source."""
    place: dict[str, dict[str, Any]] = {
        name: {"table": name} if kind == "sql" else {"path": f"{name}.csv"} for name in ("searches", "actions")
    }
    of: dict[str, Any] = {
        "searches": SearchesFile(**place["searches"]),
        "actions": ActionsFile(**place["actions"], time_unit="s"),
    }
    rows: dict[str, tuple[list[str], list[tuple]]] = {
        "plays": (["user", "item", "time"], [("u1", "a", "01/03/2020 10:00"), ("u1", "b", "02/03/2020 10:00")]),
        "searches": (["user", "time", "query"], [("u1", "01/03/2020 11:00", "x")]),
        "actions": (["user", "item", "time", "action"], [("u1", "a", START + 12 * 3600, "like")]),
    }
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection, connection:
        for name, (columns, values) in rows.items():
            write(tmp_path / f"{name}.csv", columns, values)
            connection.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
            connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns))})", values)
    log_of: dict[str, Any] = {"path": str(tmp_path / "plays.csv")}
    if kind == "sql":
        log_of = {"url": f"sqlite:///{tmp_path}/log.db", "table": "plays"}
    log = scan(SourceConfig(kind=kind, time_format="%d/%m/%Y %H:%M", **of, **log_of), tmp_path / "home", TODAY)
    hours = {name: [row["time"].hour for row in table_of(log, name)] for name in of}
    assert hours == {"searches": [11], "actions": [12]} and list(log.rows.values()) == [1, 1]


def test_a_log_without_them_has_none(tmp_path):
    assert logs_beside(scan(SourceConfig(kind="table", **plays(tmp_path, *PLAYED)), tmp_path / "home", TODAY)) == {}


def database(folder: Path, told: list[Page]) -> str:
    with sqlite3.connect(folder / "log.db") as connection:
        connection.execute("CREATE TABLE lists (user TEXT, time INTEGER, shown TEXT, hit TEXT)")
        rows = [(p.user, p.time, " ".join(p.items), " ".join(p.clicks)) for p in told]
        connection.executemany("INSERT INTO lists VALUES (?, ?, ?, ?)", rows)
        connection.execute("CREATE TABLE typed (user TEXT, time INTEGER, query TEXT)")
        connection.execute("INSERT INTO typed VALUES ('u1', ?, 'a film')", (START,))
    connection.close()
    return f"sqlite:///{folder}/log.db"


def test_they_come_from_a_database_as_from_files(tmp_path):
    config = SourceConfig(
        kind="sql",
        url=database(tmp_path, TWO_DAYS),
        impressions=ImpressionsFile(table="lists", shown="shown", clicked="hit"),
        searches=SearchesFile(query="SELECT * FROM typed"),
    )
    log = scan(config, tmp_path / "home", TODAY)
    assert in_order(read_back(log)) == in_order(TWO_DAYS)
    assert [r["query"] for r in table_of(log, "searches")] == ["a film"]


def test_a_database_has_to_tell_the_places(tmp_path):
    config = SourceConfig(
        kind="sql",
        url=database(tmp_path, TWO_DAYS),
        impressions=ImpressionsFile(table="lists", item="shown", clicked="hit"),
    )
    with pytest.raises(UserError, match=r"a database keeps no order of rows; name the column of the place"):
        scan(config, tmp_path / "home", TODAY)
