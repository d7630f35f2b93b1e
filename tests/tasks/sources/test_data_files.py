"""What is data in a folder, in whatever it is packed, and what is said of the rest."""

import bz2
import gzip
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.errors import UserError
from tasks.sources.config import EventColumns, SourceConfig, TextFile

ROWS = [(f"u{n % 5}", f"i{n % 7}", 1_500_000_000 + 3600 * n) for n in range(40)]
TEXT = "user,item,time\n" + "".join(f"{u},{i},{t}\n" for u, i, t in ROWS)
LINES = "".join(json.dumps({"user": u, "item": i, "time": t}) + "\n" for u, i, t in ROWS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "log"
    made.mkdir()
    return made


def config(path: Path, **settings: Any) -> SourceConfig:
    return SourceConfig(kind="table", path=str(path), **settings)


def table(rows: list[tuple[str, str, int]] = ROWS) -> pa.Table:
    return pa.table(dict(zip(("user", "item", "time"), map(list, zip(*rows, strict=True)), strict=True)))


def zipped(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def parquet(path: Path) -> bytes:
    pq.write_table(table(), path)
    content = path.read_bytes()
    path.unlink()
    return content


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("log.csv", bytes), ("part-00000", bytes), ("ratings.dat", bytes), ("log.txt", bytes),
        ("a.csv.gz", gzip.compress),
        ("a.csv.bz2", bz2.compress), ("a.csv.xz", lzma.compress), ("000000_0", gzip.compress), ("b.CSV", bytes),
        ("two.csv.gz", lambda text: gzip.compress(text[:300]) + gzip.compress(text[300:])),
    ],
)  # fmt: skip
def test_text_is_text_whatever_it_is_called_and_packed_in(name, pack, folder, look):
    (folder / name).write_bytes(pack(TEXT.encode()))
    assert sum(look(config(folder)).rows.values()) == len(ROWS)


@pytest.mark.parametrize("name", ["log.jsonl", "log.ndjson", "log.json", "part-0", "log.txt", "log.jsonl.gz"])
@pytest.mark.parametrize("whole", [False, True])
def test_json_is_json(name, whole, folder, look):
    text = json.dumps([json.loads(line) for line in LINES.splitlines()], indent=1) if whole else LINES
    (folder / name).write_bytes((gzip.compress if name.endswith("gz") else bytes)(text.encode()))
    assert sum(look(config(folder)).rows.values()) == len(ROWS)


def test_parquet_is_parquet_without_an_ending(folder, look):
    pq.write_table(table(), folder / "part-0")
    assert sum(look(config(folder)).rows.values()) == len(ROWS)


@pytest.mark.parametrize("inside", ["log.csv", "deep/log.jsonl", "log.parquet", "ratings.dat"])
def test_an_archive_gives_its_one_table(inside, folder, look):
    content = parquet(folder / "p") if inside.endswith("parquet") else (LINES if "json" in inside else TEXT).encode()
    zipped(folder / "set.zip", {inside: content, "README.txt": b"About", "__MACOSX/._x": b"1"})
    scan = look(config(folder / "set.zip"))
    assert sum(scan.rows.values()) == len(ROWS)
    assert scan.notes[0] == f"Taken from archives: {inside} of set.zip."


def test_an_archive_of_other_tables_is_refused_by_name(folder, look):
    zipped(folder / "set.zip", {"log.csv": TEXT.encode(), "tags.csv": b"a,b\n1,2\n"})
    with pytest.raises(UserError, match=r"set.zip \(tags.csv\): there is no column 'user'"):
        look(config(folder / "set.zip"))
    (folder / "bad.zip").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match="not readable as a zip"):
        look(config(folder / "bad.zip"))


@pytest.mark.parametrize("inside", ["log.csv", "ratings.dat", "log.jsonl", "log"])
@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(
    ("local", "central", "value", "said"),
    [(6, 8, 1, "is encrypted, password required"), (8, 10, 9, r"compression .*supported|compression type 9")],
)
def test_archives_that_python_cannot_unpack_are_told(inside, alone, local, central, value, said, folder, look):
    zipped(folder / "set.zip", {inside: TEXT.encode()})
    raw = bytearray((folder / "set.zip").read_bytes())
    raw[local] = raw[raw.index(b"PK\x01\x02") + central] = value
    (folder / "set.zip").write_bytes(raw)
    with pytest.raises(UserError, match=rf"set.zip \({inside}\): .*({said}).*; unpack the archive"):
        look(config(folder / "set.zip" if alone else folder))


@pytest.mark.parametrize("name", ["log.csv.xz", "log.csv.gz", "log.csv.bz2", "log", "log.zip"])
def test_packed_files_that_are_broken_are_told(name, folder, look):
    packers: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress}
    path = folder / name
    if path.suffix == ".zip":
        zipped(path, {"ratings.dat": TEXT.encode()})
    else:
        path.write_bytes(packers.get(path.suffix, lzma.compress)(TEXT.encode()))
    raw = bytearray(path.read_bytes())
    raw[40:60] = bytes(b ^ 255 for b in raw[40:60])
    path.write_bytes(raw)
    with pytest.raises(UserError, match=rf"{name}.*: not readable as CSV"):
        look(config(path))


@pytest.mark.parametrize("name", ["metadata.csv", "manifest.jsonl", "readme.tsv", "notice.csv.gz", "metadata.parquet"])
def test_what_ends_as_data_do_is_data_whatever_it_is_called(name, folder, look):
    text = LINES if "jsonl" in name else TEXT.replace(",", "\t") if "tsv" in name else TEXT
    content = parquet(folder / "p") if "parquet" in name else text.encode()
    (folder / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert sum(look(config(folder)).rows.values()) == len(ROWS)


def test_parts_with_and_without_ending_empty_ones_and_bookkeeping(folder, look):
    head, *lines = TEXT.splitlines()
    for name, rows in (("part-0.csv", lines[:10]), ("part-1", lines[10:20]), ("000002_0", lines[20:])):
        (folder / name).write_text("\n".join([head, *rows]) + "\n")
    for name in ("part-3.csv", "_SUCCESS", ".part-0.csv.crc"):
        (folder / name).write_text("")
    (folder / "part-4.csv").write_text(head)
    (folder / "README.txt").write_text("About this data\n\nHello, world\n")
    (folder / "manifest.json").write_text('{"rows": 30}')
    (folder / "picture.png").write_bytes(bytes(range(200)))
    (folder / "_temporary").mkdir()
    (folder / "_temporary" / "part-9.csv").write_text("half")
    scan = look(config(folder))
    assert sum(scan.rows.values()) == len(ROWS)
    assert scan.notes[0].endswith("as no data: README.txt, manifest.json, picture.png.")
    assert scan.notes[1] == "part-3.csv: there is nothing in it."


def test_nothing_but_empty_parts_is_an_error(folder, look):
    (folder / "a.csv").write_text("")
    (folder / "b.csv").write_text("\n")
    with pytest.raises(UserError, match="no usable event"):
        look(config(folder))
    (folder / "a.csv").rename(folder / "a.parquet")
    (folder / "b.csv").unlink()
    with pytest.raises(UserError, match="no usable event"):
        look(config(folder))


def test_parts_that_lack_a_column_are_named(folder, look):
    (folder / "a.csv").write_text("user,item,time,stars\nu,i,1500000000,4\n")
    (folder / "b.csv").write_text("user,item,time\nu,i,1500000000\n")
    with pytest.raises(UserError, match=r"b.csv: there is no column 'stars'"):
        look(config(folder, columns=EventColumns(rating="stars")))


def test_a_listing_within_the_log_is_none_of_it_by_whatever_way_it_is_named(folder, look, tmp_path):
    (folder / "log.csv").write_text(TEXT)
    (folder / "items.csv").write_text("item,title\ni0,A\n")
    (tmp_path / "link").symlink_to(folder)
    for root, items in ((folder, "../log/items.csv"), (tmp_path / "link", folder / "items.csv")):
        given = config(root, items={"path": str(items), "title": "title"})
        assert sum(look(given).rows.values()) == len(ROWS)


def test_a_column_that_is_twice_in_parquet_is_refused_if_it_is_wanted(folder, look):
    wide = table()
    names = ["user", "item", "time", "item"]
    pq.write_table(pa.Table.from_arrays([*wide.columns, wide["item"]], names=names), folder / "a.parquet")
    with pytest.raises(UserError, match="2 columns 'item'"):
        look(config(folder))
    pq.write_table(
        pa.Table.from_arrays([*wide.columns, *wide.columns[:2]], names=[*names[:3], "x", "x"]), folder / "a.parquet"
    )
    assert sum(look(config(folder)).rows.values()) == len(ROWS)


def test_a_header_of_the_log_is_not_that_of_its_items(folder, look):
    (folder / "log.csv").write_text(TEXT.partition("\n")[2])
    (folder / "items.csv").write_text("item;title\ni0;A, B\n")
    (folder / "users.txt").write_text("u1|33\n")
    given = config(
        folder / "log.csv",
        header=("user", "item", "time"),
        items={"path": "items.csv", "title": "title"},
        users={"path": "users.txt", "age": "age", "header": ("user", "age")},
    )
    scan = look(given)
    assert sum(scan.rows.values()) == len(ROWS)
    assert scan.listing("item")["title"].to_pylist() == ["A, B"]
    assert scan.listing("user")["age"].to_pylist() == [33]


def test_objects_within_objects_and_an_element_a_row(folder, look):
    events = [{"aid": i, "ts": t * 1000, "type": "clicks"} for _, i, t in ROWS]
    lines = [json.dumps({"session": {"id": n}, "events": events[n : n + 10]}) for n in range(0, 40, 10)]
    (folder / "otto.jsonl").write_text("\n".join([*lines, json.dumps({"session": {"id": 99}, "events": []})]) + "\n")
    columns = EventColumns(user="session.id", item="events.aid", time="events.ts")
    scan = look(config(folder, columns=columns))
    assert sum(scan.rows.values()) == len(ROWS)
    assert scan.ids("user").external.to_pylist() == ["0", "10", "20", "30"]


def test_lines_of_json_that_are_none_are_counted_and_python_literals_are_read(folder, look):
    (folder / "a.jsonl").write_text(LINES + "{broken\n")
    with pytest.raises(UserError, match=r"line 41: '\{broken'"):
        look(config(folder))
    assert sum(look(config(folder, strict=False)).rows.values()) == len(ROWS)
    (folder / "a.jsonl").write_text("".join(f"{{u'user': u'{u}', u'item': {i!r}, u'time': {t}}}\n" for u, i, t in ROWS))
    assert "its lines are Python literals, not JSON." in look(config(folder)).notes[0]


def test_ids_beyond_64_bits_stay_themselves_in_json(folder, look):
    big = 2**70 + 1
    (folder / "a.jsonl").write_text(f'{{"user": {big}, "item": {2**63 + 1}, "time": 1500000000}}\n')
    scan = look(config(folder))
    assert scan.ids("user").external.to_pylist() == [str(big)]
    assert scan.ids("item").external.to_pylist() == [str(2**63 + 1)]


def test_other_types_of_text_settings():
    with pytest.raises(ValueError, match="none of auto, none or one character"):
        TextFile(quote="''")
