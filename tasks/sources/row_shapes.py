"""Tells a line that could be a row of a file from a line of prose that has as many delimiters by chance."""

import re
from collections.abc import Callable, Sequence

USUAL = 0.9
"""What so large a share of the first rows has, every row has."""

_TRAITS: tuple[Callable[[str], bool], ...] = (
    bool,
    lambda field: " " not in field,
    lambda field: bool(re.fullmatch(r"[\d.,:/TZ+ -]+", field)),
    lambda field: any(c.isdigit() for c in field),
    lambda field: field == field.strip(),
)
"""What prose hardly has: digits in their place, no spaces, above all none after what would be a delimiter."""
_NO_SPACE, _DIGITS = 1, 3


class RowShape:
    """What the fields of some rows have in common, column by column."""

    def __init__(self, rows: Sequence[Sequence[str]]) -> None:
        columns = list(zip(*rows, strict=True))
        self._traits = [_traits(column) for column in columns]
        self._longest = [2 * max(map(len, column)) + 8 for column in columns]

    def has(self, fields: Sequence[str]) -> bool:
        """Whether these could be the fields of another row; where there were no rows, all fields could."""
        return not self._traits or (
            len(fields) == len(self._traits)
            and all(
                len(field) <= longest and all(_TRAITS[t](field) for t in traits)
                for field, traits, longest in zip(fields, self._traits, self._longest, strict=True)
            )
        )


def _traits(column: Sequence[str]) -> list[int]:
    usual = [t for t, has in enumerate(_TRAITS) if sum(map(has, column)) >= USUAL * len(column)]
    # Digits in titles are chance.
    return usual if _NO_SPACE in usual else [t for t in usual if t != _DIGITS]
