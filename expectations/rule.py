"""What a rule is, and the words to write one with.

A rule is the name and arguments of one Great Expectations expectation. Its columns are columns of the dataset or
measures of them, written like calls, such as `length(tokens)` or `known(user_id, user_id)`; `expectations.measures`
computes those.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

Severity = Literal["error", "warn"]
Frame = Literal["columns", "rows", "days"]

BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
NOT_NULL = "expect_column_values_to_not_be_null"
UNIQUE = "expect_column_values_to_be_unique"
EQUAL = "expect_column_pair_values_to_be_equal"
AT_LEAST = "expect_column_pair_values_a_to_be_greater_than_b"

LARGEST = 3.4e38
"""Bound of every float column: what is beyond it is infinite or NaN (see `expectations.measures.plain`)."""

RECENT = "recent"
"""Stands in `Rule.needs` for the row counts of earlier days."""


@dataclass(frozen=True)
class Rule:
    """One expectation of one dataset.

    Attributes:
        frame: what is looked at: each of the artifact's `columns`, each of its `rows`, or figures of the whole
            artifact (`days`).
        needs: what it is compared with beside the artifact itself: reference columns, or `recent`. Without it the
            rule is left out; as the same artifact may meet other company in another run, manifests omit its warnings.
    """

    expectation: str
    arguments: tuple[tuple[str, Any], ...]
    why: str
    severity: Severity = "error"
    frame: Frame = "rows"
    needs: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns or measures it looks at."""
        return tuple(value for name, value in self.arguments if name in ("column", "column_A", "column_B"))

    @property
    def kwargs(self) -> dict[str, Any]:
        """Arguments of the expectation."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in self.arguments}

    @property
    def text(self) -> str:
        """What must hold, in a few words."""
        given = self.kwargs
        match self.expectation:
            case "expect_column_values_to_be_between":
                return f"{given['column']} must be {_interval(given)}"
            case "expect_column_values_to_be_in_set":
                return f"{given['column']} must {_choice(given['value_set'])}"
            case "expect_column_values_to_not_be_null":
                return f"{given['column']} must not be null"
            case "expect_column_values_to_be_unique":
                return f"{given['column']} must be unique"
            case "expect_column_pair_values_to_be_equal":
                return f"{given['column_A']} must equal {given['column_B']}"
            case _:
                return f"{given['column_A']} must be at least {given['column_B']}"


def _interval(given: dict[str, Any]) -> str:
    low, high = given.get("min_value"), given.get("max_value")
    parts = []
    if low is not None and low != -LARGEST:
        parts.append(f"{'more than' if given.get('strict_min') else 'at least'} {low:,}")
    if high is not None and high != LARGEST:
        parts.append(f"{'less than' if given.get('strict_max') else 'at most'} {high:,}")
    return " and ".join(parts) or "a finite number"


def _choice(values: list[Any]) -> str:
    return "hold" if values == [True] else f"be {' or '.join(map(str, values))}"


def between(column: str, low: float | None, high: float | None, why: str, *, strict: str = "") -> Rule:
    """Values, where not null, in `[low, high]`; `strict` names excluded ends: `low`, `high` or both."""
    bounds = [("min_value", low), ("max_value", high)]
    ends = [(f"strict_{end}", True) for name, end in (("low", "min"), ("high", "max")) if name in strict]
    return Rule(BETWEEN, (("column", column), *((n, v) for n, v in bounds if v is not None), *ends), why)


def one_of(column: str, *values: Any, why: str = "a value that nobody knows") -> Rule:
    """Values, where not null, from a set."""
    return Rule(IN_SET, (("column", column), ("value_set", values)), why)


def holds(measure: str, why: str) -> Rule:
    """A yes-or-no measure is yes wherever it is not null."""
    return one_of(measure, True, why=why)


def unique(*columns: str, why: str) -> Rule:
    """No two rows of an artifact with the same values."""
    return Rule(UNIQUE, (("column", f"key({', '.join(columns)})"),), why)


def equal(a: str, b: str, why: str) -> Rule:
    """Two columns of equal values."""
    return Rule(EQUAL, (("column_A", a), ("column_B", b)), why)


def at_least(a: str, b: str, why: str) -> Rule:
    """`a >= b` wherever neither is null."""
    pair = (("column_A", a), ("column_B", b), ("or_equal", True), ("ignore_row_if", "either_value_is_missing"))
    return Rule(AT_LEAST, pair, why)


def warn(rule: Rule) -> Rule:
    """The same rule, reported without failing."""
    return replace(rule, severity="warn")


def daily(rule: Rule, *needs: str) -> Rule:
    """The same rule, of one figure an artifact instead of one a row."""
    return replace(rule, frame="days", needs=needs)


def known(column: str, reference: str) -> Rule:
    """Referential integrity: ids, where not null, occur in the reference column."""
    rule = holds(f"known({column}, {reference})", f"an id that is not in {reference.removesuffix('_id')}s")
    return replace(rule, needs=(reference,))


def share(column: str, why: str = "a share") -> Rule:
    return between(column, 0, 1, why)


def count(column: str, low: int = 0) -> Rule:
    return between(column, low, None, "a count")


def place(column: str) -> Rule:
    return between(column, 1, None, "places count from 1")


def until_midnight(column: str, why: str) -> Rule:
    """No later than the end of the artifact's day (UTC)."""
    return between(f"hours_into_day({column})", None, 24, why, strict="high")
