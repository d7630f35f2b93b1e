"""The file formats that a log may come in. A new one is a module that reads it, and an entry here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        title: what people call it.
        suffixes: how the names of its files end.
        is_text: it has lines, of values that are text.
        has_header: its first line may name the columns.
        read_at: `module:function` that reads it: a `DataFile` and the wanted columns in, `Batch` after `Batch` out.
            Named and not imported, so that what one format's reader does decides nothing about files of another.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    is_text: bool
    read_at: str
    has_header: bool = False

    @property
    def row_word(self) -> str:
        """What a row number counts: lines of a text file (blank ones left out), or rows from 1."""
        return "line" if self.is_text else "row"


CSV = Format("csv", "CSV", (".csv", ".tsv", ".tab", ".psv"), True, "tasks.sources.csv_files:read_csv", has_header=True)
JSON = Format("json", "JSON", (".jsonl", ".ndjson", ".json"), True, "tasks.sources.json_files:read_json")
NETFLIX = Format("netflix", "Netflix Prize", (), True, "tasks.sources.netflix_files:read_netflix")
PARQUET = Format("parquet", "Parquet", (".parquet", ".pq"), False, "tasks.sources.parquet_files:read_parquet")

FORMATS = (CSV, JSON, NETFLIX, PARQUET)
PACKED = (".gz", ".bz2", ".zst", ".xz", ".lz4")
"""Endings of compressions that are undone on the way."""

TEXTS = ("", ".txt", ".dat", ".data", ".inter", ".item", ".user", ".log", ".out", ".base", ".test", ".train")
"""Endings that say nothing: what such a file is, its content says."""


def titles(word: str) -> str:
    """`CSV, JSON or Parquet`, with the word between the last two."""
    *others, last = (f.title for f in FORMATS if f.suffixes)
    return f"{', '.join(others)} {word} {last}"


def endings() -> str:
    """`CSV (.csv, .tsv, packed or not), JSON (.jsonl, packed or not), Parquet (.parquet, .pq)`."""
    each = [
        f"{f.title} ({', '.join(f.suffixes)}{', packed or not' if f.is_text else ''})" for f in FORMATS if f.suffixes
    ]
    return ", ".join(each)


def by_name(suffixes: list[str]) -> Format | None:
    """The format that the ending of a name says, if it says one."""
    plain = [s for s in suffixes if s not in PACKED][-1:]
    return next((f for f in FORMATS if plain and plain[0] in f.suffixes), None)
