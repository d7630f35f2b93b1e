"""Finds out how a text file is cut into fields: what its settings leave open is read from the file itself.

Quotes are judged over the whole file, for what they do wrong shows far from the first lines: `"Heroes` at the start of
a title swallows all up to the next quote, and quotes that Spark escaped by a backslash swallow by pairs.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from expectations.errors import UserError
from tasks.sources import quote_grammar, streams
from tasks.sources.quote_grammar import NEVER, Fit, Grammar
from tasks.sources.reading import DataFile
from tasks.sources.row_shapes import USUAL, RowShape

DELIMITERS = (",", "\t", ";", "|", "::", "^", "\x01", "~", " ")
SAMPLE_LINES = 200
STAND_IN = "\x1f"
"""Stands for a delimiter of several bytes while the file is read: the unit separator, which is no text."""

csv.field_size_limit(streams.CHUNK_BYTES)
"""A text or an embedding may be longer than the 128 KiB that the csv module allows."""

_TYPED = re.compile(r"(.+):(token|float|token_seq|float_seq)")
_NUMBER_OR_TIME = re.compile(r"[-+]?\d+([.,]\d+)?|\d{4}-\d\d-\d\d([T ].*)?")
_LONG_NUMBER_OR_TIME = re.compile(r"[-+]?\d{5,}(\.\d+)?|\d{4}-\d\d-\d\d([T ].*)?")
_WORDS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar", " ": "space", "\x01": r"\x01"}


@dataclass(frozen=True)
class Dialect:
    """How one text file is cut into records and fields.

    Attributes:
        delimiter: one or several characters.
        quote: around values; empty: quotes are ordinary characters, or there are none.
        escape: before a quote within quotes; empty: such quotes are doubled.
        escapes_everywhere: the escape counts outside of quotes, too.
        encoding: codec; `mark` is the number of bytes of the file's mark before the text.
        names: of the columns, in order.
        skipped: lines before the first row.
        records: rows, counted over the whole file and independently of who reads them.
        multiline: there are line breaks within values.
        why: what each part was found by, by its name; what settings say is not in it.
    """

    delimiter: str
    quote: str
    escape: str
    escapes_everywhere: bool
    encoding: str
    mark: int
    names: tuple[str, ...]
    skipped: int
    records: int
    multiline: bool
    why: dict[str, str] = field(default_factory=dict)

    @property
    def byte(self) -> str:
        """The delimiter in what `text_of` gives: one byte."""
        return self.delimiter if len(self.delimiter.encode()) == 1 else STAND_IN


def in_words(dialect: Dialect) -> str:
    """`tab-separated, no quoting, UTF-16-LE, names in the first line`."""
    word = _WORDS.get(dialect.delimiter)
    cut = f"{word}-separated" if word else f"separated by {dialect.delimiter!r}"
    if not dialect.quote:
        quoting = "no quoting" if "quote" in dialect.why else ""
        if dialect.escape:
            quoting = f"no quoting, {dialect.escape} before delimiters"
    elif dialect.escape:
        quoting = f"quotes {dialect.quote} escaped by {dialect.escape}"
    else:
        quoting = f"quotes {dialect.quote} doubled within quotes"
    names = "names in the first line" if dialect.skipped else "names from the settings"
    breaks = "line breaks within quotes" if dialect.multiline else ""
    return ", ".join(filter(None, (cut, quoting, breaks, dialect.encoding.upper(), names)))


def reasons(dialect: Dialect) -> str:
    """Why it was taken for that, in words; empty if there is nothing to say."""
    return "; ".join(dialect.why.values())


def find_dialect(file: DataFile, wanted: Sequence[str] = ()) -> Dialect | None:
    """How a text file is cut; None if it has no bytes, or nothing but blank lines.

    Args:
        wanted: names of columns that it should have; a delimiter that gives these is the one.

    Raises:
        UserError: it is no text, or no grammar of quotes fits it without loss.
    """
    key, text = file.key, file.text
    head = streams.head_of(file.path, file.entry)
    encoding, mark = streams.encoding_of(head, text.encoding, f"{key}.encoding")
    sample = _sample(head[mark:], encoding)
    if not sample:
        return None
    _refuse_binary(file, sample)
    why: dict[str, str] = {}
    if mark:
        why |= {"encoding": f"it begins with the mark of {encoding.upper()}"} if encoding != "utf-8" else {}
    elif encoding.startswith("utf-16") and not text.encoding.lower().startswith("utf-16"):
        why["encoding"] = f"every second byte is 0, as in {encoding.upper()} without a mark"
    delimiter = written(text.delimiter, key) or _delimiter(file, sample, wanted, why)
    quote = _quote(file, sample, delimiter, why)
    names, skipped = (text.header, 0) if text.header else _first_line(sample, delimiter, quote)
    found = _Quotes(file, encoding, mark, delimiter, quote, names, bool(skipped)).find(why)
    if found.trailing:
        names = (*names, "")
        why["trailing"] = "every row ends with one delimiter more than the first line has"
    return Dialect(
        delimiter=delimiter,
        quote=chr(found.grammar.quote) if found.grammar.quote != NEVER else "",
        escape=chr(found.grammar.escape) if found.grammar.escape != NEVER else "",
        escapes_everywhere=found.grammar.everywhere,
        encoding=encoding,
        mark=mark,
        names=names,
        skipped=skipped,
        records=found.records - bool(skipped),
        multiline=found.multiline,
        why=why,
    )


def text_of(file: DataFile, encoding: str, mark: int, delimiter: str) -> Iterator[bytes]:
    """The text as UTF-8, with a delimiter of one byte."""
    chunks = streams.text_chunks(file.path, file.entry, encoding, mark)
    raw = delimiter.encode()
    return chunks if len(raw) == 1 else streams.replaced(chunks, raw, STAND_IN.encode())


def written(delimiter: str, key: str) -> str:
    r"""A delimiter as it is written in settings: `\t` is a tab, from a command line too.

    Raises:
        UserError: what follows the backslash is no character, or a line break.
    """
    if not delimiter.startswith("\\") or not delimiter[1:]:
        return delimiter
    try:
        made = delimiter.encode().decode("unicode_escape")
    except UnicodeDecodeError:
        made = ""
    if not made or set(made) & set("\r\n"):
        raise UserError(f"{key}.delimiter: {delimiter} stands for nothing between fields; \\t and \\x01 do")
    return made


def looks_like_data(names: Sequence[str]) -> bool:
    """Whether a first line has numbers or times where names should be."""
    return any(_NUMBER_OR_TIME.fullmatch(name.strip()) for name in names)


def is_value(name: str) -> bool:
    """Whether this can hardly be the name of a column: a long number or a time."""
    return bool(_LONG_NUMBER_OR_TIME.fullmatch(name.strip()))


# --- the first lines -----------------------------------------------------------------------------------------------


def _sample(head: bytes, encoding: str) -> str:
    """The first lines as text; empty if there is nothing but blank lines."""
    text = head[: len(head) // 4 * 4].decode(encoding, errors="replace") if len(head) >= streams.CHUNK_BYTES - 4 else ""
    text = text or head.decode(encoding, errors="replace")
    return text if text.strip("\r\n") else ""


def _refuse_binary(file: DataFile, sample: str) -> None:
    begin = sample[:4096]
    if streams.is_binary(begin):
        raise UserError(
            f"{file.where}: this is no text, {streams.controls(begin):,} of its first {len(begin):,} characters are"
            f" control characters; give a {file.format.title} file, or set {file.key}.encoding if it has another one"
        )


def _lines(sample: str) -> list[str]:
    lines = [line for line in re.split("\r\n|\n|\r", sample[: 1 << 18]) if line][: SAMPLE_LINES + 1]
    # The last one may be cut.
    return lines[:SAMPLE_LINES] if len(lines) > SAMPLE_LINES or len(sample) < 1 << 18 else lines[:-1] or lines


def split(line: str, delimiter: str, quote: str) -> list[str]:
    """The fields of a line by itself."""
    if len(delimiter) > 1 or quote in ("none", "") or delimiter in ("\r", "\n"):
        return line.split(delimiter)
    return next(csv.reader([line], delimiter=delimiter, quotechar='"' if quote == "auto" else quote), [""])


def _delimiter(file: DataFile, sample: str, wanted: Sequence[str], why: dict[str, str]) -> str:
    """The delimiter by the first lines: one that gives the wanted columns, else one that is in every line as often."""
    usual = "\t" if ".tsv" in file.suffixes else ","
    lines = _lines(sample)
    fields = {d: [split(line, d, file.text.quote) for line in lines] for d in (usual, *DELIMITERS)}
    for delimiter, rows in fields.items():
        named = file.text.header or tuple(_plain_names(rows[0]))
        if len(rows[0]) == len(named) and set(wanted) <= set(named) and len(named) > 1 and wanted:
            if delimiter != usual:
                why["delimiter"] = "that gives the columns that are wanted"
            return delimiter
    if file.text.header and len(file.text.header) == 1:
        return usual
    share = {d: sum(len(row) == len(rows[0]) for row in rows) for d, rows in fields.items() if len(rows[0]) > 1}
    best = max(share, key=lambda d: share[d], default=usual)
    if best != usual and share.get(usual, 0) < share[best]:
        why["delimiter"] = f"it is in each of the first {len(lines)} lines as often"
        return best
    return usual


def _quote(file: DataFile, sample: str, delimiter: str, why: dict[str, str]) -> str:
    """The character around values, if there is one: single quotes where nearly every row has whole values in them."""
    if file.text.quote != "auto":
        return {"none": ""}.get(file.text.quote, file.text.quote)
    rows = [re.sub('"[^"]*"', "", line) for line in _lines(sample)[not file.text.header :]]
    cut = re.escape(delimiter)
    single = re.compile(f"(?:^|{cut})'(?:[^']|'')*'(?={cut}|$)")
    if rows and sum(bool(single.search(row)) for row in rows) >= USUAL * len(rows):
        why["quote"] = "whole values are within single quotes"
        return "'"
    return '"'


def _plain_names(fields: Sequence[str]) -> list[str]:
    """Names without what RecBole writes behind them, if it wrote them: `user_id:token` is `user_id`."""
    stripped = [name.strip() for name in fields]
    typed = [_TYPED.fullmatch(name) for name in stripped]
    return [m[1] for m in typed if m] if all(typed) else stripped


def _first_line(sample: str, delimiter: str, quote: str) -> tuple[tuple[str, ...], int]:
    """Names in the first line that is not blank, and how many lines there are up to its end."""
    text = sample.replace("\r\n", "\n").replace("\r", "\n").lstrip("\n")
    blank = len(sample.replace("\r\n", "\n")) - len(text)
    line = text.partition("\n")[0]
    return tuple(_plain_names(split(line, delimiter, quote))), blank + 1


# --- quotes, over the whole file -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    grammar: Grammar
    records: int
    multiline: bool
    trailing: bool


@dataclass(frozen=True)
class _Quotes:
    """Finds the grammar of a file's quotes."""

    file: DataFile
    encoding: str
    mark: int
    delimiter: str
    quote: str
    names: tuple[str, ...]
    named: bool

    def find(self, why: dict[str, str]) -> _Found:
        """The grammar, how many records it finds, the first line among them.

        Raises:
            UserError: none fits without loss.
        """
        text = self.file.text
        if self.quote and self._has(self.quote):
            return self._chosen(why)
        if text.escape not in ("auto", "none"):
            one = Grammar(self._byte, escape=ord(text.escape), everywhere=True)
            return self._taken(one, self._walk(one))
        return _Found(Grammar(self._byte), quote_grammar.count_lines(self._chunks()), False, self._all_trail())

    @property
    def _byte(self) -> int:
        return ord(self.delimiter if len(self.delimiter.encode()) == 1 else STAND_IN)

    def _chunks(self) -> Iterator[bytes]:
        return text_of(self.file, self.encoding, self.mark, self.delimiter)

    def _has(self, character: str) -> bool:
        return any(character.encode() in chunk for chunk in self._chunks())

    def _all_trail(self) -> bool:
        """Whether the rows of a file without quotes, as far as the first lines show, end with one delimiter more."""
        head = b"".join(c for c, _ in zip(self._chunks(), range(1), strict=False)).decode(errors="replace")
        rows = [line.split(chr(self._byte)) for line in _lines(head)[self.named :]]
        return bool(rows) and all(len(row) == len(self.names) + 1 and not row[-1] for row in rows)

    def _walk(self, one: Grammar) -> Fit:
        return quote_grammar.walk(self._chunks(), one, len(self.names))

    def _taken(self, one: Grammar, fit: Fit) -> _Found:
        trailing = bool(fit.trailing) and fit.trailing == fit.records - self.named
        return _Found(one, fit.records, bool(fit.multiline), trailing)

    def _candidates(self) -> list[Grammar]:
        doubled = Grammar(self._byte, ord(self.quote))
        if self.file.text.escape == "none":
            return [doubled]
        if self.file.text.escape == "auto":
            return [doubled, replace(doubled, escape=ord("\\"))]
        return [replace(doubled, escape=ord(self.file.text.escape))]

    def _chosen(self, why: dict[str, str]) -> _Found:
        """The first grammar of quotes that fits; if lines are rows as they stand, quotes may be none."""
        fits: dict[Grammar, Fit] = {}
        for one in self._candidates():
            fits[one] = self._walk(one)
            if not self._faults(fits[one]) and not fits[one].misfits:
                break
        first = next(iter(fits))
        sound = {one: fit for one, fit in fits.items() if not self._faults(fit)}
        best = min(sound, key=lambda one: sound[one].misfits, default=None)
        if best and not sound[best].misfits and not sound[best].multiline:
            return self._told(best, fits, why)
        bare = Grammar(self._byte, ord(self.quote), quoting=False)
        if self.file.text.quote == "auto":
            plain = self._walk(bare)
            fewer = not best or plain.misfits < sound[best].misfits
            if fewer and not plain.quoted_misfits and not self._quotes_whole_values():
                told = self._faults(fits[first]) or ["rows had other numbers of fields"]
                why["quote"] = f"were its quotes quotes, {told[0]}"
                return self._taken(Grammar(self._byte), plain)
        if best:
            return self._told(best, fits, why)
        faults = dict.fromkeys(f for fit in fits.values() for f in self._faults(fit))
        meant = any(self._alike(fit) for fit in fits.values())
        raise UserError(
            f"{self.file.where}: its quotes fit no grammar: {'; '.join(faults)}. Correct these lines, or set"
            f" {self.file.key}.quote=none if quotes are ordinary characters there"
            + (f", or {self.file.key}.quote={self.quote!r} if line breaks within quotes are meant" if meant else "")
        )

    def _quotes_whole_values(self) -> bool:
        """Whether most values that begin with a quote end with one, as no titles do where quotes are ordinary."""
        begin, end = re.escape(self.quote.encode()), re.escape(bytes([self._byte]))
        begun = re.compile(b"(?<=[" + end + b"\r\n])" + begin)
        whole = re.compile(begun.pattern + b"[^" + end + b"\r\n]*" + begin + b"(?=[" + end + b"\r\n])")
        counts = [(len(begun.findall(chunk)), len(whole.findall(chunk))) for chunk in self._chunks()]
        return 2 * sum(n for _, n in counts) > sum(n for n, _ in counts)

    def _told(self, best: Grammar, fits: dict[Grammar, Fit], why: dict[str, str]) -> _Found:
        if self.file.text.quote != "auto" and (alike := self._alike(fits[best])):
            why["quote"] = f"{alike}, as {self.file.key}.quote says"
        auto = self.file.text.escape == "auto"
        if best.escape != NEVER and auto:
            other = next(fit for one, fit in fits.items() if one.escape == NEVER)
            why["escape"] = f"were they doubled, {(self._faults(other) or ['rows had other numbers of fields'])[0]}"
        if fits[best].lone if best.escape != NEVER else auto and self._has('\\"'):
            # Spark escapes within quotes only; Python's csv module and databases everywhere, so that none stands alone.
            everywhere = replace(best, escape=ord("\\") if auto else best.escape, everywhere=True)
            fit = self._walk(everywhere)
            # Where doubled quotes fit as well, pairs of backslashes may be just that.
            meant = fit.paired if best.escape != NEVER else fit.paired_quotes
            if meant and not (fit.lone or fit.misfits or self._faults(fit)):
                why.setdefault("escape", "there is one before each of its quotes")
                return self._taken(everywhere, fit)
        return self._taken(best, fits[best])

    def _faults(self, fit: Fit) -> list[str]:
        """What a grammar's quotes do that quotes do not do."""
        faults = []
        if fit.broken:
            more = f" and {fit.broken - len(fit.broken_lines):,} more" if fit.broken > len(fit.broken_lines) else ""
            faults.append(f"a closing quote is followed by more text on line {_listed(fit.broken_lines)}{more}")
        if fit.unended:
            faults.append(f"the quote that begins on line {fit.unended} never ends")
        if self.file.text.quote == "auto" and (alike := self._alike(fit)):
            faults.append(alike)
        return faults

    def _alike(self, fit: Fit) -> str:
        """Which lines within quotes look like rows; empty if none does."""
        quote = self.quote.encode()
        alike = [n for n, line in fit.inner.items() if self._usual.has(self._fields(line.replace(quote, b"")))]
        more = f" and {len(alike) - 3:,} more" if len(alike) > 3 else ""
        return f"line {_listed(alike[:3])}{more} looks like a row, but is within quotes" if alike else ""

    @cached_property
    def _usual(self) -> RowShape:
        """What the first rows have in common, read in the grammar that gives more of them."""
        head = next(self._chunks(), b"").decode(errors="replace")
        return RowShape(max((self._rows(head, escape) for escape in (None, "\\")), key=len))

    def _rows(self, head: str, escape: str | None) -> list[list[str]]:
        lines = io.StringIO(head, newline="")
        read = csv.reader(lines, delimiter=chr(self._byte), quotechar=self.quote, escapechar=escape)
        rows = [row for row in read if row]
        return [row for row in rows[self.named :] if len(row) == len(self.names)]

    def _fields(self, line: bytes) -> list[str]:
        return line.decode(errors="replace").split(chr(self._byte))


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(f"{n:,}" for n in numbers)
