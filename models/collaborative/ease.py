"""Weights between items that tell each item from the others that a user had, by ridge regression in closed form.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data" (WWW 2019), eq. 8. Shapes: B users of a batch, I items.
Time grows with I cubed and memory with I squared.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field

from expectations.errors import Failure, UserError
from expectations.settings import settings

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from models.interactions import Floats, Histories, Interactions, Ints, Trained, Training

FILE = "ease.safetensors"


@settings
class EaseConfig:
    """EASE: weights between items by ridge regression."""

    regularisation: Annotated[float, Field(gt=0, le=1e9)] = 250.0
    """Ridge penalty; larger trusts items that few have had less."""
    max_items: Annotated[int, Field(ge=2, le=100_000)] = 20_000
    """Most items that it is trained on: memory and time grow with their square and cube."""


class Ease:
    """Weights between items.

    Attributes:
        weights: float32 `[I, I]`, from an item of the history (row) to the item recommended (column); diagonal 0.
        counts: float32 `[I]`, popularity: what is said of a user without a history, or whose history says nothing.
    """

    def __init__(self, weights: "Floats", counts: "Floats") -> None:
        self.weights, self.counts = weights, counts

    def scores(self, users: "Ints", histories: "Histories") -> "Floats":
        import numpy as np

        found: Floats = np.asarray(_sets(histories, len(self.counts)) @ self.weights, np.float32)
        found[~found.any(axis=1)] = self.counts
        return found

    def neighbours(self, top_k: int) -> "tuple[Ints, Ints, Floats]":
        """Items, a neighbour of each and its weight, `[N]` each: up to `top_k` largest positive weights an item."""
        import numpy as np

        k = min(top_k, len(self.counts) - 1)
        best = np.argpartition(-self.weights, k - 1, axis=1)[:, :k]
        weights = np.take_along_axis(self.weights, best, axis=1)
        rows, places = np.nonzero(weights > 0)
        return rows, best[rows, places], weights[rows, places]

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        save_file({"weights": self.weights, "counts": self.counts}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors.numpy import load_file

        return cls(**load_file(folder / FILE))


def train(data: "Interactions", config: EaseConfig, training: "Training") -> "Trained":
    """Solve for the weights.

    Raises:
        UserError: more items than settings allow.
        Failure: there is no inverse.
    """
    import numpy as np
    from scipy.linalg.lapack import dpotrf, dpotri
    from threadpoolctl import threadpool_limits

    from models.interactions import Trained

    if data.num_items > config.max_items:
        raise UserError(
            f"ease: {data.num_items:,} items are more than models.ease.max_items ({config.max_items:,}); raise it if "
            f"{3 * 8 * data.num_items**2 / 2**30:.0f} GiB of memory are there, or use another source"
        )
    had = _sets(data.histories, data.num_items)
    gram = np.asarray((had.T @ had).todense(), np.float64)
    counts = gram.diagonal().astype(np.float32)
    gram[np.diag_indices_from(gram)] += config.regularisation
    # One thread: sums of BLAS differ between thread counts, and where a night runs must not decide what comes out.
    with threadpool_limits(1):
        factor, bad = dpotrf(gram, lower=True, overwrite_a=True)
        inverse, worse = dpotri(factor, lower=True, overwrite_c=True)
    if bad or worse or not np.isfinite(inverse.diagonal()).all():
        raise Failure("ease: the matrix cannot be inverted; raise `regularisation`")
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights = inverse / -inverse.diagonal()
    np.fill_diagonal(weights, 0)
    return Trained(Ease(weights.astype(np.float32), counts))


def _sets(histories: "Histories", num_items: int) -> "csr_matrix":
    """What each row has had, 1 where it has, `[B, I]`."""
    import numpy as np
    from scipy.sparse import csr_matrix

    known = histories.known(num_items)
    ones = np.ones(len(known.items), np.float32)
    had = csr_matrix((ones, known.items, known.offsets), shape=(len(known), num_items), copy=True)
    had.sum_duplicates()
    had.data[:] = 1
    return had
