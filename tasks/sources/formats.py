"""The file formats that a log may come in. A new one is a module that reads it, and an entry here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        title: what people call it.
        suffixes: how the names of its files end.
        packed: further endings that its files may have, of compressions that are undone on the way.
        is_text: it has lines, of values that are text, perhaps below a header.
        read_at: `module:function` that reads it: a `DataFile` and the wanted columns in, `Batch` after `Batch` out.
            Named and not imported, so that what one format's reader does decides nothing about files of another.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    is_text: bool
    read_at: str
    packed: tuple[str, ...] = ()

    @property
    def row_word(self) -> str:
        """What a row number counts: lines of a text file (blank ones left out), or rows from 1."""
        return "line" if self.is_text else "row"


CSV = Format(
    "csv", "CSV", (".csv", ".tsv", ".txt"), True, "tasks.sources.csv_files:read_csv", packed=(".gz", ".bz2", ".zst")
)
PARQUET = Format("parquet", "Parquet", (".parquet", ".pq"), False, "tasks.sources.parquet_files:read_parquet")

FORMATS = (CSV, PARQUET)


def titles(word: str) -> str:
    """`CSV or Parquet`, with the word between the last two."""
    *others, last = (f.title for f in FORMATS)
    return f"{', '.join(others)} {word} {last}"


def endings() -> str:
    """`CSV (.csv, .tsv, .txt, packed or not), Parquet (.parquet, .pq)`."""
    each = [f"{f.title} ({', '.join(f.suffixes)}{', packed or not' if f.packed else ''})" for f in FORMATS]
    return ", ".join(each)
