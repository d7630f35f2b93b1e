"""Users and items from files: any mapped column of the declared schemas, each value checked.

What people write for what they do not know (`-1` and 239 as ages, `N/A`, `0000-00-00`) is unknown here, and told. Ids
and vectors must be right.
"""

import re
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from expectations.datasets import Dataset
from expectations.errors import UserError
from tasks.sources.config import ItemsFile, UsersFile
from tasks.sources.discovery import Listed
from tasks.sources.parsed_files import EARLIEST, EPOCH
from tasks.sources.reading import Batch, DataFile, read_whole
from tasks.sources.times import as_micros, time_form
from tasks.sources.values import MICROS_PER_DAY, as_ids, as_number, as_text, plain, without_point_zero, youngest_ages
from tasks.sources.word_lists import as_word_lists, separator_of

_GENDERS = {"f": "female", "m": "male", "woman": "female", "man": "male", "female": "female", "male": "male",
            "other": "other", "n": None, "u": None}  # fmt: skip
_OUTSIDE_IDS = ("series_id", "creator_id")
_FREE_TEXT = ("title", "description")
_CODES = ("region", "language", "available_regions")
"""Columns whose `NA` is Namibia, or North America."""

UNKNOWN = ("null", "(null)", "none", "nan", "nat", "<na>", "n/a", "#n/a", "na", "\\n", "-", "--", "?", "unknown",
           "undefined", "unspecified", "not available")  # fmt: skip
"""Words, in lower case, that stand for a value that is not known."""

_BOUNDS = {"age": (3, 120), "season": (0, 32767), "episode": (0, 32767), "duration_s": (np.nextafter(0, 1), 1e9)}
"""What the values of a column lie between; others are unknown."""

_FAR = (date(2200, 1, 1) - EPOCH).days * MICROS_PER_DAY
_BETWEEN_NUMBERS = re.compile(r"[\s,;|]+")
NUM_EXAMPLES = 4


@dataclass
class _Told:
    """Values that are not taken as they are written, by column and what they are taken for."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    examples: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)

    def add(self, column: str, which: np.ndarray, values: pa.Array, what: str = "count as unknown") -> None:
        if which.any():
            key = column, what
            self.counts[key] = self.counts.get(key, 0) + int(which.sum())
            shown = values.filter(pa.array(which)).unique()[:NUM_EXAMPLES].to_pylist()
            self.examples.setdefault(key, {}).update(dict.fromkeys(str(v)[:40] for v in shown))

    def sentences(self, where: str, total: int) -> tuple[str, ...]:
        return tuple(
            f"{where}: {count:,} of {total:,} values of {column!r} {what}: "
            f"{', '.join(map(repr, list(self.examples[column, what])[:NUM_EXAMPLES]))}."
            for (column, what), count in self.counts.items()
        )


def listing_schema(dataset: Dataset) -> pa.Schema:
    """`external_id` and the declared columns besides the key."""
    return pa.schema([pa.field("external_id", pa.string()), *[f for f in dataset.schema if f.name not in dataset.key]])


def empty_listing(dataset: Dataset) -> Listed:
    """Nothing listed."""
    return Listed(listing_schema(dataset).empty_table())


def read_listing(files: tuple[DataFile, ...], dataset: Dataset, mapping: UsersFile | ItemsFile) -> Listed:
    """Read users or items, one row an id.

    Raises:
        UserError: a file or column is missing, most values do not fit their column, an id has two different rows.
    """
    schema, where = listing_schema(dataset), str(files[0].path if len(files) == 1 else files[0].path.parent)
    mapped = {f.name: getattr(mapping, f.name) for f in schema if f.name != "external_id" and getattr(mapping, f.name)}
    raw = [read_whole(file, list(dict.fromkeys([mapping.id, *mapped.values()]))) for file in files]
    if not any(batch.rows for batch in raw):
        raise UserError(f"{files[0].path}: there are no rows in it; give a file with rows, or leave its path empty")
    told, separators = _Told(), _separators(raw, mapped, schema, mapping, where)
    pieces = [
        _File(file, batch, told, separators, mapping.date_format).table(schema, mapping.id, mapped)
        for file, batch in zip(files, raw, strict=True)
    ]
    listing = pa.concat_tables(pieces)
    for name in _OUTSIDE_IDS:
        if name in schema.names:
            place, ids = schema.get_field_index(name), listing[name].combine_chunks()
            listing = listing.set_column(
                place, schema.field(name), _numbered(ids, f"{where}: column {mapped.get(name)!r}")
            )
    return Listed(one_row_an_id(listing, where), told.sentences(Path(where).name, listing.num_rows))


def _separators(
    raw: list[Batch],
    mapped: dict[str, str],
    schema: pa.Schema,
    mapping: UsersFile | ItemsFile,
    where: str,
) -> dict[str, str]:
    """Name of a column of words -> what parts them, of all files together."""
    given = mapping.separator if isinstance(mapping, ItemsFile) else ""
    return {
        name: given or separator_of((batch.columns[column] for batch in raw), f"{where}: column {column!r}")
        for name, column in mapped.items()
        if schema.field(name).type == pa.list_(pa.string())
    }


@dataclass
class _File:
    """A file's columns, made into what is declared."""

    file: DataFile
    batch: Batch
    told: _Told
    separators: dict[str, str]
    date_format: str

    def table(self, schema: pa.Schema, id_: str, mapped: dict[str, str]) -> pa.Table:
        """The declared columns; ids of series and creators are still text."""
        ids = as_ids(self.batch.columns[id_], self._where(id_))
        if ids.null_count:
            raise self._wrong(id_, int(np.argmax(ids.is_null().to_numpy(zero_copy_only=False))), "no id")
        columns = {"external_id": ids} | {
            name: self._converted(schema.field(name), column) for name, column in mapped.items()
        }
        types = [f.with_type(pa.string()) if f.name in _OUTSIDE_IDS else f for f in schema]
        return pa.table({f.name: columns.get(f.name, pa.nulls(len(ids), f.type)) for f in types}, pa.schema(types))

    def _converted(self, field_: pa.Field, column: str) -> pa.Array:
        values, type_ = self.batch.columns[column], field_.type
        if pt.is_list(type_) and pt.is_string(type_.value_type):
            return as_word_lists(values, self.separators[field_.name], self._where(column))
        if pt.is_list(type_):
            return self._vectors(values, column)
        if field_.name in _OUTSIDE_IDS:
            ids = as_ids(values, self._where(column))
            return self._without(ids, pc.equal(ids, "-1"), column)
        if field_.name in _FREE_TEXT:
            return as_text(values, self._where(column))
        values = self._known(plain(values, self._where(column)), field_.name, column)
        if pt.is_date(type_) or pt.is_timestamp(type_):
            return self._dates(values, field_, column)
        if pt.is_string(type_):
            words = as_text(values, self._where(column))
            return self._genders(words, column) if field_.name == "gender" else words
        return self._numbers(values, field_, column)

    def _where(self, column: str) -> str:
        return f"{self.file.path}: column {column!r}"

    def _wrong(self, column: str, index: int, what: str) -> UserError:
        row = f"{self.batch.row_word(self.file.format)} {self.batch.number(index)}"
        return UserError(f"{self.file.where}: {row}, column {column!r}: {what}; correct it")

    def _without(self, values: pa.Array, which: pa.Array, column: str) -> pa.Array:
        """The values without some that stand for unknown."""
        mask = which.fill_null(False)
        self.told.add(column, mask.to_numpy(zero_copy_only=False), values)
        return pc.if_else(mask, pa.scalar(None, values.type), values)

    def _known(self, values: pa.Array, name: str, column: str) -> pa.Array:
        """Text without the words that stand for unknown."""
        if not pt.is_string(values.type):
            return values
        words = [word for word in UNKNOWN if word != "na" or name not in _CODES]
        lower = pc.utf8_lower(pc.utf8_trim_whitespace(values))
        return self._without(values, pc.is_in(lower, pa.array(words)), column)

    def _genders(self, words: pa.Array, column: str) -> pa.Array:
        lower = pc.utf8_lower(words)
        words = self._without(words, pc.is_in(lower, pa.array([w for w, g in _GENDERS.items() if g is None])), column)
        found = [None if w is None else _GENDERS.get(w.lower(), w) for w in words.to_pylist()]
        return pa.array(found, pa.string())

    def _unusable(self, values: pa.Array, bad: np.ndarray, column: str, what: str) -> None:
        """Single values that are none are unknown; where most are none, the column is another."""
        known = len(values) - values.null_count
        if 2 * bad.sum() > known:
            index = int(np.argmax(bad))
            raise self._wrong(column, index, f"{values[index].as_py()!r} is no {what}, and neither are most")
        self.told.add(column, bad, values)

    def _numbers(self, values: pa.Array, field_: pa.Field, column: str) -> pa.Array:
        if field_.name == "age" and pt.is_string(values.type):
            ages = youngest_ages(values, least=_BOUNDS["age"][0])
            grouped = pc.not_equal(ages, values).fill_null(False).to_numpy(zero_copy_only=False)
            self.told.add(column, grouped, values, "are groups of ages and count as the youngest age in them")
            values = ages
        numbers, bad = as_number(values, self._where(column), self.batch.decimal_comma)
        bad &= ~np.isnan(numbers) | pt.is_string(values.type)  # a NaN in numbers is one that is missing
        whole = pt.is_integer(field_.type)
        if whole:
            with np.errstate(invalid="ignore"):
                bad |= (numbers != np.floor(numbers)) & ~np.isnan(numbers)
        self._unusable(values, bad, column, "whole number" if whole else "number")
        low, high = _BOUNDS[field_.name]
        with np.errstate(invalid="ignore"):
            beyond = ((numbers < low) | (numbers > high)) & ~bad
        self.told.add(column, beyond, values)
        return pa.array(numbers, mask=np.isnan(numbers) | bad | beyond).cast(field_.type)

    def _dates(self, values: pa.Array, field_: pa.Field, column: str) -> pa.Array:
        where = self._where(column)
        if pt.is_string(values.type):
            values = self._without(values, pc.match_substring_regex(values, r"^\s*(0000|0+\s*$)"), column)
        form = time_form(values, self.date_format or "auto", where, listed=True)
        micros, bad = as_micros(values, form, where, self.batch.decimal_comma)
        missing = values.is_null().to_numpy(zero_copy_only=False)
        self._unusable(
            values, bad & ~missing, column, "date (ISO 8601, a format that is common, or a number since 1970)"
        )
        known = ~missing & ~bad
        early = known & (micros < (EARLIEST - EPOCH).days * MICROS_PER_DAY)
        self.told.add(column, early, values, f"lie before {EARLIEST} and count as unknown")
        # Beyond all plans: rights that never end; what begins then has not begun.
        far = known & (micros >= _FAR)
        if field_.name == "available_until":
            known = known & ~far
        else:
            self.told.add(column, far, values, "lie after 2200: not there until then")
        mask = ~known | early
        if pt.is_date(field_.type):
            return pa.array((micros // MICROS_PER_DAY).astype(np.int32), mask=mask).cast(field_.type)
        return pa.array(micros, mask=mask).cast(field_.type)

    def _vectors(self, values: pa.Array, column: str) -> pa.Array:
        if pt.is_list(values.type) or pt.is_large_list(values.type) or pt.is_fixed_size_list(values.type):
            vectors = values.cast(pa.list_(pa.float32()))
        else:
            texts = as_text(values, self._where(column)).to_pylist()
            vectors = pa.array([self._vector(t, column, i) for i, t in enumerate(texts)], pa.list_(pa.float32()))
        lengths = pc.list_value_length(vectors).drop_null()
        if len(pc.unique(lengths)) > 1:
            usual = pc.mode(lengths)[0]["mode"].as_py()
            odd = pc.fill_null(pc.not_equal(pc.list_value_length(vectors), usual), False).to_numpy(zero_copy_only=False)
            raise self._wrong(column, int(np.argmax(odd)), f"the vector has not {usual} numbers as most have")
        finite = np.isfinite(pc.list_flatten(vectors).to_numpy(zero_copy_only=False))
        if not finite.all():
            parent = pc.list_parent_indices(vectors)[int(np.argmin(finite))].as_py()
            raise self._wrong(column, parent, "the vector has a value that is no finite number")
        return vectors

    def _vector(self, text: str | None, column: str, index: int) -> list[float] | None:
        if text is None:
            return None
        try:
            return [float(number) for number in _BETWEEN_NUMBERS.split(text.strip("[]() \t"))]
        except ValueError as error:
            raise self._wrong(column, index, f"{text[:40]!r} is no vector ({error})") from error


def _numbered(ids: pa.Array, where: str) -> pa.Array:
    """Ids of series and creators as int32: as they are where they are such numbers, else their place in order."""
    ids = without_point_zero(ids, where)
    known = pc.unique(ids.drop_null())
    try:
        numbers = ids.cast(pa.int32())
        if len(pc.unique(numbers.drop_null())) == len(known):  # 07 and 7 are two
            return numbers
    except pa.ArrowInvalid:
        pass
    return pc.index_in(ids, value_set=known.take(pc.sort_indices(known)), skip_nulls=True).cast(pa.int32())


def one_row_an_id(listing: pa.Table, where: str) -> pa.Table:
    """The listing with rows that are repeated word for word once.

    Raises:
        UserError: an id has rows that differ.
    """
    listing = listing.combine_chunks()
    codes = listing["external_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    _, first, count = np.unique(codes, return_index=True, return_counts=True)
    if len(first) == len(codes):
        return listing
    for code in np.flatnonzero(count > 1):
        rows = listing.take(np.flatnonzero(codes == code)).to_pylist()
        if any(row != rows[0] for row in rows):
            raise UserError(
                f"{where}: {len(rows)} rows have the id {rows[0]['external_id']!r} and differ; keep one row an id"
            )
    return listing.take(np.sort(first))
