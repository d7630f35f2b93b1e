"""Compressed rows: values of many rows one after another, and where each row begins.

Shapes: R rows, N values.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer]
Places = npt.NDArray[np.int64]


def offsets_of(sizes: Ints) -> Places:
    """int64 `[R + 1]`: where rows of these sizes begin, and where the last of them ends."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


@dataclass(frozen=True)
class CompressedRows:
    """What has values beside `offsets`: those of row r are at `offsets[r]` to `offsets[r + 1]`.

    Attributes:
        offsets: int64 `[R + 1]`, from 0.
    """

    offsets: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def sizes(self) -> Ints:
        """Values of each row, int64 `[R]`."""
        return np.diff(self.offsets)

    @property
    def rows(self) -> Ints:
        """Row of each value, int64 `[N]`, ascending."""
        return np.repeat(np.arange(len(self)), self.sizes)

    def of_rows(self, rows: Ints) -> tuple[Places, Places]:
        """Some rows, in that order: their offsets, and the places of their values here."""
        sizes = self.sizes[rows]
        offsets = offsets_of(sizes)
        return offsets, np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], sizes)

    def of_values(self, kept: np.ndarray) -> Places:
        """Offsets of the same rows with the values marked in `kept` (bool `[N]`) only."""
        return offsets_of(kept)[self.offsets]
