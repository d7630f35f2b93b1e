"""Fit the encoder specs that `models.runtime.encode` applies: vocabularies, lengths, means.

Declaring a field says what kind a column is; fitting looks at the training catalogue and gives the JSON mapping that
goes into `encoders.json`. A column that says nothing (all null, or one and the same number) is left out, so that a
log without demographics trains on what it has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.runtime.encoding import transformed

Kind = Literal["category", "bag", "number", "vector"]
EncoderField = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """One declared input.

    Attributes:
        kind: `category` (one of a vocabulary), `bag` (list of them), `number`, `vector` (list of numbers).
        transform: of a number, before it is standardised; square and root stand beside the number itself.
        max_length: most entries of a bag.
    """

    column: str
    kind: Kind
    transform: Literal["none", "log1p", "square", "sqrt"] = "none"
    max_length: int = 8

    @property
    def name(self) -> str:
        return f"{self.column}_{self.transform}" if self.transform in ("square", "sqrt") else self.column


def fit_fields(table: pa.Table, declared: Sequence[Field], prefix: str, max_vocabulary: int) -> list[EncoderField]:
    """Fit every declared field that `table` has something to say about.

    Inputs are named `<prefix>_<column>`, further powers of a number `<prefix>_<column>_<transform>`.

    Args:
        table: the users or items of the training catalogue.
        max_vocabulary: most values a category or bag keeps, the most frequent ones; the others become unknown.

    Raises:
        ValueError: a vector column whose rows differ in length.
    """
    fields = (fit_field(table, field, f"{prefix}_{field.name}", max_vocabulary) for field in declared)
    return [field for field in fields if field is not None]


def fit_field(table: pa.Table, field: Field, name: str, max_vocabulary: int) -> EncoderField | None:
    """The spec of one field, or None where its column says nothing."""
    values = table[field.column].combine_chunks()
    spec: EncoderField = {"name": name, "column": field.column, "kind": field.kind}
    match field.kind:
        case "category":
            vocabulary = frequent_values(values, max_vocabulary)
            return {**spec, "vocabulary": vocabulary} if vocabulary else None
        case "bag":
            vocabulary = frequent_values(pc.list_flatten(values), max_vocabulary)
            longest = pc.max(pc.list_value_length(values)).as_py() or 0
            length = min(longest, field.max_length)
            return {**spec, "vocabulary": vocabulary, "length": length} if vocabulary else None
        case "number":
            moments = _moments(values, field.transform)
            return None if moments is None else {**spec, "transform": field.transform, **moments}
        case "vector":
            length = _vector_length(values, field.column)
            return {**spec, "length": length} if length else None


def frequent_values(values: pa.Array, max_size: int, min_count: int = 1) -> list[Any]:
    """The `max_size` most frequent values seen at least `min_count` times, ascending; ties go to the smaller value."""
    counts = pc.value_counts(values.drop_null())
    table = pa.table({"value": counts.field("values"), "count": counts.field("counts")})
    table = table.filter(pc.greater_equal(table["count"], min_count))
    ranked = table.sort_by([("count", "descending"), ("value", "ascending")])["value"][:max_size]
    return sorted(ranked.to_pylist())


def _moments(values: pa.Array, transform: str) -> Mapping[str, float] | None:
    numbers = values.drop_null().cast(pa.float64()).to_numpy(zero_copy_only=False)
    numbers = numbers[np.isfinite(numbers)]
    numbers = transformed(numbers, transform)
    if numbers.size == 0 or numbers.min() == numbers.max():
        return None
    return {"mean": float(numbers.mean()), "std": float(numbers.std())}


def _vector_length(values: pa.Array, column: str) -> int:
    lengths = pc.unique(pc.list_value_length(values).drop_null()).to_pylist()
    if len(lengths) > 1:
        raise ValueError(f"column {column}: vectors of different lengths {sorted(lengths)}; all must have one length")
    return lengths[0] if lengths else 0
