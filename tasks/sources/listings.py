"""Users and items from files: any mapped column of the declared schemas, each value checked."""

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from expectations.datasets import Dataset
from expectations.errors import UserError
from tasks.sources.config import ItemsFile, UsersFile
from tasks.sources.reading import DataFile, read_columns
from tasks.sources.values import MICROS_PER_DAY, as_micros, as_number, as_text, time_unit

_GENDERS = {"f": "female", "m": "male", "female": "female", "male": "male"}
_OUTSIDE_IDS = ("series_id", "creator_id")
_BETWEEN_NUMBERS = re.compile(r"[\s,;|]+")


def listing_schema(dataset: Dataset) -> pa.Schema:
    """`external_id` and the declared columns besides the key."""
    return pa.schema([pa.field("external_id", pa.string()), *[f for f in dataset.schema if f.name not in dataset.key]])


def empty_listing(dataset: Dataset) -> pa.Table:
    """Nothing listed."""
    return listing_schema(dataset).empty_table()


def read_listing(files: tuple[DataFile, ...], dataset: Dataset, mapping: UsersFile | ItemsFile) -> pa.Table:
    """Read users or items, one row an id.

    Raises:
        UserError: a file or column is missing, a value does not fit its column, an id has two different rows.
    """
    listing = pa.concat_tables([_read(file, dataset, mapping) for file in files])
    if not listing.num_rows:
        raise UserError(f"{files[0].path}: there are no rows in it; give a file with rows, or leave its path empty")
    return one_row_an_id(listing, str(files[0].path if len(files) == 1 else files[0].path.parent))


def _read(file: DataFile, dataset: Dataset, mapping: UsersFile | ItemsFile) -> pa.Table:
    schema = listing_schema(dataset)
    mapped = {f.name: getattr(mapping, f.name) for f in schema if f.name != "external_id" and getattr(mapping, f.name)}
    raw = read_columns(file, list(dict.fromkeys([mapping.id, *mapped.values()])))
    ids = as_text(raw[mapping.id], f"{file.path}: column {mapping.id!r}")
    if ids.null_count:
        raise _wrong(file, mapping.id, int(np.argmax(ids.is_null().to_numpy(zero_copy_only=False))), "no id")
    columns = {"external_id": ids}
    separator = mapping.separator if isinstance(mapping, ItemsFile) else "|"
    for name, column in mapped.items():
        columns[name] = _converted(raw[column], schema.field(name), file, column, separator)
    return pa.table({f.name: columns.get(f.name, pa.nulls(len(ids), f.type)) for f in schema}, schema=schema)


def _converted(values: pa.Array, field: pa.Field, file: DataFile, column: str, separator: str) -> pa.Array:
    where = f"{file.path}: column {column!r}"
    if pt.is_list(field.type) and pt.is_string(field.type.value_type):
        return _words(values, separator, where)
    if pt.is_list(field.type):
        return _vectors(values, file, column)
    if pt.is_date(field.type) or pt.is_timestamp(field.type):
        return _dates(values, field.type, file, column)
    if field.name in _OUTSIDE_IDS:
        return _numbered(as_text(values, where))
    if pt.is_string(field.type):
        words = as_text(values, where)
        return _mapped(words, lambda w: _GENDERS.get(w.lower(), w)) if field.name == "gender" else words
    return _numbers(values, field.type, file, column)


def _wrong(file: DataFile, column: str, index: int, what: str) -> UserError:
    row = f"{file.format.row_word} {index + file.first_row}"
    return UserError(f"{file.path}: {row}, column {column!r}: {what}; correct it")


def _mapped(words: pa.Array, change: Callable[[str], str]) -> pa.Array:
    return pa.array([None if w is None else change(w) for w in words.to_pylist()], pa.string())


def _numbers(values: pa.Array, type_: pa.DataType, file: DataFile, column: str) -> pa.Array:
    numbers, bad = as_number(values, f"{file.path}: column {column!r}")
    if pt.is_integer(type_):
        limits = np.iinfo(type_.to_pandas_dtype())
        with np.errstate(invalid="ignore"):
            bad = bad | (numbers != np.floor(numbers)) & ~np.isnan(numbers)
            bad |= (numbers < limits.min) | (numbers > limits.max)
    if bad.any():
        index = int(np.argmax(bad))
        raise _wrong(file, column, index, f"{values[index].as_py()!r} is no {_NUMBER_NAMES[str(type_)]}")
    return pa.array(numbers, mask=np.isnan(numbers)).cast(type_)


_NUMBER_NAMES = {"int16": "whole number from -32768 to 32767", "int32": "whole number", "float": "number"}


def _dates(values: pa.Array, type_: pa.DataType, file: DataFile, column: str) -> pa.Array:
    micros, bad = as_micros(values, time_unit(values), f"{file.path}: column {column!r}")
    missing = values.is_null().to_numpy(zero_copy_only=False)
    if (bad & ~missing).any():
        index = int(np.argmax(bad & ~missing))
        raise _wrong(file, column, index, f"{values[index].as_py()!r} is no date (ISO 8601 or a number since 1970)")
    if pt.is_date(type_):
        return pa.array((micros // MICROS_PER_DAY).astype(np.int32), mask=missing).cast(type_)
    return pa.array(micros, mask=missing).cast(type_)


def _words(values: pa.Array, separator: str, where: str) -> pa.Array:
    if pt.is_list(values.type) or pt.is_large_list(values.type):
        return values.cast(pa.list_(pa.string()))
    texts = as_text(values, where).to_pylist()
    split = [None if t is None else [w for part in t.split(separator) if (w := part.strip())] for t in texts]
    return pa.array(split, pa.list_(pa.string()))


def _vectors(values: pa.Array, file: DataFile, column: str) -> pa.Array:
    if pt.is_list(values.type) or pt.is_large_list(values.type) or pt.is_fixed_size_list(values.type):
        vectors = values.cast(pa.list_(pa.float32()))
    else:
        texts = as_text(values, f"{file.path}: column {column!r}").to_pylist()
        vectors = pa.array([_vector(t, file, column, i) for i, t in enumerate(texts)], pa.list_(pa.float32()))
    lengths = pc.list_value_length(vectors).drop_null()
    if len(pc.unique(lengths)) > 1:
        usual = pc.mode(lengths)[0]["mode"].as_py()
        odd = pc.fill_null(pc.not_equal(pc.list_value_length(vectors), usual), False).to_numpy(zero_copy_only=False)
        raise _wrong(file, column, int(np.argmax(odd)), f"the vector has not {usual} numbers as most have")
    finite = np.isfinite(pc.list_flatten(vectors).to_numpy(zero_copy_only=False))
    if not finite.all():
        parent = pc.list_parent_indices(vectors)[int(np.argmin(finite))].as_py()
        raise _wrong(file, column, parent, "the vector has a value that is no finite number")
    return vectors


def _vector(text: str | None, file: DataFile, column: str, index: int) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(number) for number in _BETWEEN_NUMBERS.split(text.strip("[]() \t"))]
    except ValueError as error:
        raise _wrong(file, column, index, f"{text[:40]!r} is no vector ({error})") from error


def _numbered(ids: pa.Array) -> pa.Array:
    """Ids of series and creators as int32: as they are where they are such numbers, else their place in order."""
    try:
        return ids.cast(pa.int32())
    except pa.ArrowInvalid:
        known = pc.unique(ids.drop_null())
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
