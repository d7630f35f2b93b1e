"""Rows of a pandas frame by the names of its columns."""

from collections.abc import Iterator
from typing import Any

import pandas as pd


def each_row(frame: pd.DataFrame) -> Iterator[Any]:
    """Named tuples; pandas' own types take every field for a scalar, and ours may be lists."""
    return frame.itertuples()
