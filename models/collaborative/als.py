"""What ALS left in a folder, for implicit or for explicit feedback."""

from pathlib import Path

from models.collaborative.factors import ItemFactors
from models.collaborative.ratings import FILE, RatingFactors


class Als:
    """Either of the two recommenders that stand on the factors of ALS."""

    @classmethod
    def load(cls, folder: Path) -> ItemFactors | RatingFactors:
        """The one that was saved there."""
        return RatingFactors.load(folder) if (folder / FILE).exists() else ItemFactors.load(folder)
