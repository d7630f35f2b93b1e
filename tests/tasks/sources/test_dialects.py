"""Any text that a writer of tables makes is read back as it was, or refused by name."""

import csv
import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from expectations.errors import UserError
from tasks.sources import quote_grammar
from tasks.sources.config import TextFile
from tasks.sources.dialects import find_dialect, in_words, reasons
from tasks.sources.formats import CSV, JSON
from tasks.sources.quote_grammar import Grammar, walk
from tasks.sources.reading import DataFile, read_batches

NAMES = ["user", "item", "time", "title"]


def data_file(path: Path, **text: Any) -> DataFile:
    return DataFile(path, path.name, CSV, TextFile(**text))


def read(path: Path, names: list[str] = NAMES, **text: Any) -> list[tuple[str | None, ...]]:
    """Every row of a file, column by column as wanted."""
    batches = [batch.columns for batch in read_batches(data_file(path, **text), names)]
    return [row for b in batches for row in zip(*(b[n].to_pylist() for n in names), strict=True)]


def plain_rows(count: int, title=lambda n: f"Film {n}") -> list[list[str]]:
    return [[f"u{n % 7}", f"i{n % 5}", str(1_500_000_000 + n), title(n)] for n in range(count)]


def written(path: Path, rows: list[list[str]], encoding: str = "utf-8", **dialect) -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, **dialect)
        writer.writerows([NAMES, *rows])
    return path


# No carriage return by itself: where lines end in "\\n", neither the csv module nor pandas protects it.
AWKWARD = st.text(st.sampled_from("ab\",;\t|\\\n'é 1:^"), max_size=6)
DIALECTS: dict[str, dict[str, Any]] = {
    "excel": {},
    "tabs": {"delimiter": "\t"},
    "all quoted": {"quoting": csv.QUOTE_ALL, "delimiter": ";"},
    "single quotes": {"quotechar": "'", "delimiter": "|"},
    "lines end in \\n": {"lineterminator": "\n"},
    "escaped": {"doublequote": False, "escapechar": "\\"},
    "escaped, all quoted": {"doublequote": False, "escapechar": "\\", "quoting": csv.QUOTE_ALL},
}


@pytest.mark.parametrize("name", DIALECTS)
@given(titles=st.lists(AWKWARD, min_size=1, max_size=8))
def test_what_the_csv_module_writes_is_read_back_in_a_dialect_that_is_named(name, titles, tmp_path_factory):
    dialect = DIALECTS[name]
    rows = plain_rows(len(titles), lambda n: titles[n])
    path = written(tmp_path_factory.mktemp("table") / "log.csv", rows, **dialect)
    settings = {
        "delimiter": dialect.get("delimiter", ","),
        "quote": dialect.get("quotechar", '"'),
        "escape": dialect.get("escapechar", "none"),
    }
    found = read(path, **settings)
    # An empty field is a missing value, and so are the words that databases write for it.
    assert found == [(*row[:3], row[3] or None) for row in rows]


@pytest.mark.parametrize("sep", [",", "\t", ";", "|"])
@given(titles=st.lists(AWKWARD, min_size=2, max_size=8))
@example(titles=['\\\\"', "\\"])
@example(titles=["\\\\", '\\\\"'])
@example(titles=["\\\\", ",;|\t\\\\"])
def test_what_pandas_writes_is_found_by_itself(sep, titles, tmp_path_factory):
    # Where most are in single quotes, these are taken for a writer's, not the titles'.
    assume(2 * sum(title.count("'") > 1 for title in titles) < len(titles))
    path = tmp_path_factory.mktemp("table") / "log.csv"
    rows = plain_rows(len(titles), lambda n: titles[n])
    pd.DataFrame(rows, columns=NAMES).to_csv(path, sep=sep, index=False)
    try:
        found = read(path)
    except UserError as error:
        # Only what can be read in two ways is refused: a line of a title that has as many delimiters as a row has.
        assert "looks like a row" in str(error)
        assert any(line.count(sep) == len(NAMES) - 1 for title in titles for line in title.split("\n")[1:])
        found = read(path, quote='"')
    assert found == [(*row[:3], row[3] or None) for row in rows]


def slow_records(text: str, grammar_: Grammar) -> int:
    """What the csv module counts, blank lines left out."""
    quote = chr(grammar_.quote) if grammar_.quote >= 0 else None
    kind: Any = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
    return sum(bool(row) for row in csv.reader(io.StringIO(text, newline=""), quotechar=quote, quoting=kind))


@given(st.text(st.sampled_from('a,"\n\r'), max_size=40), st.integers(1, 7), st.booleans())
def test_records_are_counted_as_by_the_csv_module_wherever_chunks_end(text, size, quoted):
    one = Grammar(ord(","), ord('"') if quoted else quote_grammar.NEVER)
    raw = text.encode()
    chunks = [raw[i : i + size] for i in range(0, len(raw), size)]
    whole, cut = walk([raw], one, 2), walk(chunks, one, 2)
    assert whole == cut
    if not whole.unended:
        assert whole.records == slow_records(text, one)
    if not quoted:
        assert quote_grammar.count_lines(chunks) == whole.records


def test_machine_code_walks_as_python_does(monkeypatch):
    rows = "".join(f'{n},"a ""b"" \n{n},c",x\n{n},"open {n}" y,z\n' for n in range(300)).encode()
    one = Grammar(ord(","), ord('"'), ord("\\"))
    plain = walk([rows], one, 3)
    monkeypatch.setattr(quote_grammar, "SMALL_BYTES", 1)
    assert walk([rows], one, 3) == plain
    escaped = rows.replace(b'""', b'\\"')
    compiled = b"".join(quote_grammar.without_escapes([escaped[:1000], escaped[1000:]], one))
    monkeypatch.undo()
    assert compiled == b"".join(quote_grammar.without_escapes([escaped], one)) == rows


def test_a_title_that_begins_with_a_quote_means_no_quoting(tmp_path):
    path = tmp_path / "log.tsv"
    rows = plain_rows(40, lambda n: '"Heroes' if n % 10 == 3 else f"Song {n}")
    path.write_text("".join("\t".join(row) + "\n" for row in [NAMES, *rows]))
    assert read(path) == [tuple(row) for row in rows]
    found = find_dialect(data_file(path))
    assert found
    assert in_words(found) == "tab-separated, no quoting, UTF-8, names in the first line"
    assert "a closing quote is followed by more text on line 15" in reasons(found)


@pytest.mark.parametrize("count", [4, 5])
def test_a_quote_at_the_start_and_one_at_the_end_of_another_line_mean_no_quoting(count, tmp_path):
    """With quotes both lines would be one record of the right number of fields."""
    path = tmp_path / "log.tsv"
    rows = plain_rows(30, lambda n: {7: '"Heroes', 7 + count: 'Vinyl 12"'}.get(n, f"Song {n}"))
    path.write_text("".join("\t".join(row) + "\n" for row in [NAMES, *rows]))
    assert read(path) == [tuple(row) for row in rows]


@pytest.mark.parametrize("inches", [2, 3])
def test_inches_that_spark_has_escaped(inches, tmp_path):
    rows = plain_rows(30, lambda n: f'Monitor {n}"' if n < inches else f"C:\\films\\{n}")
    lines = [",".join([*r[:3], f'"{r[3][:-1]}\\""' if r[3].endswith('"') else r[3]]) for r in rows]
    path = tmp_path / "part-0.csv"
    path.write_text("\n".join([",".join(NAMES), *lines]) + "\n")
    assert read(path) == [tuple(row) for row in rows]
    found = find_dialect(data_file(path))
    assert found and (found.quote, found.escape, found.escapes_everywhere) == ('"', "\\", False)


def test_an_unclosed_quote_among_real_ones_is_refused_with_its_lines(tmp_path):
    rows = plain_rows(30, lambda n: '"Film, the"' if n % 2 else '"Heroes' if n == 12 else f"Film {n}")
    path = tmp_path / "log.csv"
    path.write_text("".join(",".join(row) + "\n" for row in [NAMES, *rows]))
    with pytest.raises(UserError, match=r"log.csv: its quotes fit no grammar: .* line 15.*source.quote=none"):
        read(path)


def minimal(rows: list[list[str]]) -> list[str]:
    """Lines as the csv module writes them, quotes only where they must be."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().splitlines()


SWALLOWED = {
    "every other title has a comma": (
        NAMES,
        lambda n: [f"u{n}", f"i{n}", str(1_500_000_000 + n), f"Film{',' * (n % 2)} the"],
    ),
    "the first ones have a comma": (
        ["item", "title", "year"],
        lambda n: [f"i{n}", f"Film{',' * (n < 250)} {n}", "2001"],
    ),
    "numbers are in the first titles alone": (
        ["item", "title", "year"],
        lambda n: [f"i{n}", f"Film, {n}" if n < 250 else "Metropolis", "2001"],
    ),
    "no column has digits": (
        ["item", "title", "genre"],
        lambda n: [f"film-{chr(97 + n % 26)}", "Film, the" if n % 2 else "A film", "Drama"],
    ),
    "every row has line breaks": (
        ["item", "title"],
        lambda n: [f"i{n}", f"Film,\n the {n}" if n < 250 else f"Film {n}"],
    ),
}


@pytest.mark.parametrize("name", SWALLOWED)
@pytest.mark.parametrize("count", [2, 10])
@pytest.mark.parametrize("start", [290, 310])
def test_rows_within_quotes_are_refused_with_their_lines(name, count, start, tmp_path):
    names, row = SWALLOWED[name]
    rows = [row(n) for n in range(350)]
    before, between = minimal([names, *rows[:start]]), minimal(rows[start + 1 : start + count])
    column = -1 if names is NAMES else 1
    opening, closing = rows[start], rows[start + count]
    opening[column], closing[column] = '"Heroes', 'Vinyl 12"'
    between = [line for line in between if '"' not in line]
    lines = [*before, ",".join(opening), *between, ",".join(closing), *minimal(rows[start + count + 1 :])]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=r"looks like a row.*source.quote=none") as caught:
        read(path, names)
    assert f"{len(before) + 2:,}" in str(caught.value) and "source.quote='\"' if line breaks" in str(caught.value)


def test_line_breaks_are_meant_where_the_settings_name_the_quote_and_this_is_told(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text('item,title\n"i1","seen\ni2,twice"\n"i3","x, y"\n')
    with pytest.raises(
        UserError, match=r"line 3 looks like a row.*source.quote=.\". if line breaks within quotes are meant"
    ):
        read(path, ["item", "title"])
    assert read(path, ["item", "title"], quote='"') == [("i1", "seen\ni2,twice"), ("i3", "x, y")]
    found = find_dialect(data_file(path, quote='"'))
    assert found and reasons(found) == "line 3 looks like a row, but is within quotes, as source.quote says"


@given(words=st.lists(st.sampled_from(["once", "upon", "a time,", "there was,", "a king."]), min_size=1, max_size=30))
def test_prose_of_many_lines_is_no_row_however_many_commas_it_has(words, tmp_path_factory):
    prose = "".join(f"{word}{' ' if n % 4 else chr(10)}" for n, word in enumerate(words))
    rows = [[f"film-{chr(97 + n)}", f"Film {n}", prose] for n in range(20)]
    path = tmp_path_factory.mktemp("table") / "items.csv"
    path.write_text("\n".join(["item,title,text", *(f'{slug},{title},"{text}"' for slug, title, text in rows)]) + "\n")
    assert read(path, ["item", "title", "text"]) == [tuple(row) for row in rows]


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("odd", ['"u","i","1600000000","12" TV"', "200 rows", '"u","i"'])
def test_one_bad_row_does_not_make_the_quotes_of_all_others_ordinary(odd, delimiter, tmp_path):
    path = tmp_path / "log.csv"
    lines = [",".join(f'"{value}"' for value in row) for row in [NAMES, *plain_rows(200)]]
    path.write_text("\n".join([*lines, odd]).replace(",", delimiter) + "\n")
    if odd.endswith('TV"'):
        with pytest.raises(UserError, match=r"a closing quote is followed by more text on line 202.*source.quote=none"):
            read(path)
    else:
        assert read(path) == [tuple(row) for row in plain_rows(200)]


@given(odd=st.text(st.sampled_from("a\",;'1 "), max_size=14), place=st.integers(1, 20))
def test_whatever_one_line_is_the_quoted_rows_beside_it_are_read_or_refused(odd, place, tmp_path_factory):
    rows = plain_rows(20, lambda n: ["Film, the", 'say "x"', "it's"][n % 3])
    path = written(tmp_path_factory.mktemp("table") / "log.csv", rows, quoting=csv.QUOTE_ALL)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:place], odd, *lines[place:]]) + "\n")
    try:
        found = read(path)
    except UserError as error:
        assert "quotes fit no grammar" in str(error)
        return
    assert set(map(tuple, rows)) <= set(found)


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
@pytest.mark.parametrize("title", ["Film", "Film, the; more", "Rock ''n'' Roll"])
@pytest.mark.parametrize("whole_header", [True, False])
def test_single_quotes_around_values_are_found_and_told(delimiter, title, whole_header, tmp_path):
    path = tmp_path / "log.csv"
    rows = plain_rows(30, lambda n: title)
    header = delimiter.join(f"'{name}'" if whole_header else name for name in NAMES)
    path.write_text("\n".join([header, *(delimiter.join(f"'{value}'" for value in row) for row in rows)]) + "\n")
    assert read(path) == [(*row[:3], title.replace("''", "'")) for row in rows]
    found = find_dialect(data_file(path), NAMES)
    assert found and "whole values are within single quotes" in reasons(found)


def test_apostrophes_and_lists_in_values_are_no_quotes(tmp_path):
    path = tmp_path / "log.csv"
    titles = ["'Heroes'", "['a','b','c']", "Rock 'n' Roll", "'s", "don't"]
    rows = plain_rows(30, lambda n: titles[n % 5])
    assert read(written(path, rows)) == [tuple(row) for row in rows]
    lists = plain_rows(30, lambda n: titles[1])
    assert read(written(path, lists)) == [tuple(row) for row in lists]


@pytest.mark.parametrize("bytes_", [140_000, 400_000])
def test_a_value_may_be_longer_than_what_the_csv_module_takes(bytes_, tmp_path):
    rows = plain_rows(3, lambda n: "long, " * (bytes_ // 6) if n == 1 else "short")
    assert read(written(tmp_path / "log.csv", rows)) == [tuple(row) for row in rows]


@pytest.mark.parametrize("delimiter", ["\\x", "\\xg", "\\u12", "\\n"])
def test_a_delimiter_that_stands_for_nothing_is_told(delimiter, tmp_path):
    path = written(tmp_path / "log.csv", plain_rows(3))
    with pytest.raises(UserError, match=r"source.delimiter: \\\w+ stands for nothing"):
        read(path, delimiter=delimiter)


def test_line_breaks_within_quotes_are_read_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.sources.csv_files.CSV_BLOCK_BYTES", 1 << 12)
    rows = plain_rows(200, lambda n: f'First, of {n}\nsecond line\n\nthird "quoted"')
    assert read(written(tmp_path / "log.csv", rows)) == [tuple(row) for row in rows]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-8"])
@pytest.mark.parametrize("said", ["utf-8", "utf8", "UTF-8", "utf-8-sig", "utf-16", "utf_16_le"])
def test_marks_are_found_under_every_name(encoding, said, tmp_path):
    if encoding == "utf-8" and "16" in said:
        return
    path = tmp_path / "log.txt"
    rows = plain_rows(30, lambda n: f"Zoë {n} 电影")
    text = "".join("\t".join(row) + "\r\n" for row in [NAMES, *rows])
    path.write_bytes(text.encode(encoding))
    assert read(path, encoding=said) == [tuple(row) for row in rows]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|", "::", "^", "\x01", " ", "¦"])
@pytest.mark.parametrize("named", [True, False])
def test_delimiters_are_found(delimiter, named, tmp_path):
    path = tmp_path / "log.csv"
    rows = [[*row[:3], str(n % 5)] for n, row in enumerate(plain_rows(30))]
    path.write_text("".join(delimiter.join(row) + "\n" for row in [*([NAMES] if named else []), *rows]))
    settings: dict[str, Any] = {} if named else {"header": tuple(NAMES)}
    assert read(path, **settings, **({"delimiter": delimiter} if delimiter == "¦" else {})) == [tuple(r) for r in rows]


def test_a_forgotten_header_is_told(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("".join(",".join(row) + "\n" for row in plain_rows(5)))
    with pytest.raises(UserError, match=r"looks like data. No header\? .* source.header: \[user, item"):
        read(path)
    with pytest.raises(UserError, match=r"No header\?"):
        read(path, ["u0", "i0", "1500000000"])


def test_columns_that_are_there_twice(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item,time,item,x,x\nu,i,1,j,1,2\n")
    with pytest.raises(UserError, match="2 columns 'item'"):
        read(path, ["user", "item"])
    assert read(path, ["user", "time"]) == [("u", "1")]


@pytest.mark.parametrize(
    "text", ["user,item,\nu,i,\n", "user,item\nu,i,\nv,j,\n", ",user,item\n1,u,i\n", "\n\nuser,item\nu,i\n"]
)
def test_columns_without_a_name_and_delimiters_at_the_end(text, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(text)
    assert read(path, ["user", "item"])[0] == ("u", "i")


def test_bytes_that_are_no_text_are_told_in_words(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(UserError, match="this is no text") as caught:
        read(path)
    assert str(caught.value).isprintable()


def test_a_file_with_line_breaks_in_values_counts_records(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text('user,item,time,title\nu,i,1500000000,"a\nb"\nu,i\nu,i,1500000000,x\n')
    batch = next(read_batches(data_file(path), NAMES))
    assert batch.malformed.texts == ["record 3: 'u,i'"]
    assert [f"{batch.row_word(CSV)} {batch.number(row)}" for row in range(2)] == ["record 2", "record 4"]


def test_bytes_of_another_encoding_and_garbage_are_told_in_words(tmp_path):
    path = tmp_path / "log.csv"
    head = ",".join(NAMES).encode() + b"\nu,i,1500000000,x\n" * 400
    path.write_bytes(head + b"\xe9\x00\x1b[31m,i\n" + b"\xff\xfe\x00\n")
    with pytest.raises(UserError, match=r"line 402 has 2 fields, not 4, and bytes that are not utf-8") as caught:
        read(path)
    assert str(caught.value).isprintable()
    path.write_bytes(head + b"\xe9,i,1500000000,x\n")
    with pytest.raises(UserError, match=r"log.csv: not utf-8; set source.encoding") as caught:
        read(path)
    assert str(caught.value).isprintable()


@given(titles=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), min_size=1, max_size=6))
def test_what_pandas_writes_as_json_is_read_back(titles, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "log.jsonl"
    rows = plain_rows(len(titles), lambda n: titles[n])
    pd.DataFrame(rows, columns=NAMES).to_json(path, orient="records", lines=True)
    file = DataFile(path, path.name, JSON)
    found = [
        row for b in read_batches(file, NAMES) for row in zip(*(b.columns[n].to_pylist() for n in NAMES), strict=True)
    ]
    assert found == [tuple(row) for row in rows]
