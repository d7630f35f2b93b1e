"""Users and items as the towers see them: which fields there are, and their encoded rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from models.encoding import EncoderField, Field, fit_fields, frequent_values
from models.interactions import Interactions
from models.runtime.encoding import encode

USER_FIELDS = (
    Field("age", "number"),
    Field("gender", "category"),
    Field("region", "category"),
    Field("lifecycle", "category"),
    Field("engagement_tier", "category"),
    Field("subscription_type", "category"),
    Field("primary_device", "category"),
)
AGE_POWERS = (Field("age", "number", transform="square"), Field("age", "number", transform="sqrt"))
"""Let a tower that is close to linear bend (Covington et al. 2016, 4.1)."""
ITEM_FIELDS = (
    Field("genres", "bag"),
    Field("content_type", "category"),
    Field("series_id", "category"),
    Field("duration_s", "number", transform="log1p"),
    Field("language", "category"),
    Field("maturity_rating", "category"),
    Field("content_tier", "category"),
    Field("creator_id", "category"),
    Field("embedding", "vector"),
)
ITEM_ID = "item_item_id"
ITEM_ATTRIBUTES = "item_attributes"


def fit_user_fields(users: pa.Table, max_vocabulary: int, age_powers: bool = False) -> list[EncoderField]:
    """Encoder fields of the users, those without information left out."""
    return fit_fields(users, (*USER_FIELDS, *(AGE_POWERS if age_powers else ())), "user", max_vocabulary)


def fit_item_fields(
    items: pa.Table, num_positives: np.ndarray, min_positives: int, max_vocabulary: int
) -> list[EncoderField]:
    """Encoder fields of the items: the id, for those watched often enough, and the content.

    Args:
        items: the catalogue, ascending by item_id.
        num_positives: `[items]` training positives of each row.
    """
    warm = np.repeat(items["item_id"].to_numpy(), np.where(num_positives >= min_positives, num_positives, 0))
    vocabulary = frequent_values(pa.array(warm), max_vocabulary)
    id_field = {"name": ITEM_ID, "column": "item_id", "kind": "category", "vocabulary": vocabulary}
    return [id_field, *fit_fields(items, ITEM_FIELDS, "item", max_vocabulary)]


@dataclass(frozen=True)
class Encoded:
    """Encoded rows of users or items, with a first row of unknowns, so that row 0 stands for "not in the catalogue".

    Attributes:
        ids: `[N]` ids, ascending; id `ids[k]` is row `k + 1`.
        inputs: name -> `[N + 1, ...]`.
    """

    ids: np.ndarray
    inputs: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, table: pa.Table, key: str, fields: list[EncoderField]) -> "Encoded":
        """Encode a table that is ascending by `key`."""
        encoded = encode(table, fields)
        padded = {name: np.pad(v, [(1, 0)] + [(0, 0)] * (v.ndim - 1)) for name, v in encoded.items()}
        return cls(table[key].to_numpy(), padded)

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Row of each id, 0 for those not in the catalogue."""
        if len(self.ids) == 0:
            return np.zeros(len(ids), dtype=np.int64)
        places = np.searchsorted(self.ids, ids)
        known = self.ids[np.minimum(places, len(self.ids) - 1)] == ids
        return np.where(known, places + 1, 0)

    def take(self, rows: np.ndarray) -> dict[str, Tensor]:
        """The inputs of some rows, as tensors."""
        return {name: torch.from_numpy(values[rows]) for name, values in self.inputs.items()}


def items_of(
    data: Interactions, min_positives: int, max_attributes: int | None = None
) -> tuple[Encoded, list[EncoderField]]:
    """Items of interactions alone: an id embedding for those met often enough, and attributes, if the data tell any.

    Args:
        max_attributes: of an item with more the last ones are taken; None takes all.
    """
    warm = np.flatnonzero(np.bincount(data.histories.items, minlength=data.num_items) >= min_positives)
    own = np.zeros(data.num_items + 1, dtype=np.int64)
    own[warm + 1] = np.arange(len(warm)) + 1
    inputs = {ITEM_ID: own}
    fields: list[EncoderField] = [
        {"name": ITEM_ID, "column": "item_id", "kind": "category", "vocabulary": warm.tolist()}
    ]
    if data.attributes is not None and len(data.attributes.items):
        most = int(data.attributes.sizes.max())
        length = most if max_attributes is None else min(most, max_attributes)
        inputs[ITEM_ATTRIBUTES] = np.pad(data.attributes.last(length) + 1, ((1, 0), (0, 0)))
        field = {"name": ITEM_ATTRIBUTES, "column": "attributes", "kind": "bag"}
        numbers = list(range(int(data.attributes.items.max()) + 1))
        fields.append({**field, "vocabulary": numbers, "length": length})
    return Encoded(np.arange(data.num_items), inputs), fields
