"""The two towers (Yi et al. 2019; the user side after Covington et al. 2016): a vector a user, a vector an item.

An item's input is the sum of the embeddings of all its fields: its id, and its content, which stands for it alone as
long as it is cold. The same input, averaged over the last positives, is the user's history, so every watch also
teaches the history side. Averages over the very last ones stand beside it: what comes next, such as the next episode,
follows from them. In training the user side is also told how old the example is. Both towers add a small network to
their input and end on the unit sphere.

Shapes: U distinct items of a batch, B users, H places of a history, D dimensions, F entries of a bag or vector.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.encoding import EncoderField


class FieldSum(nn.Module):
    """Sum of one embedding a field: rows of a table (bags and hashed words: their mean), or a linear map of numbers."""

    def __init__(self, fields: Sequence[EncoderField], dim: int) -> None:
        super().__init__()
        self.fields = list(fields)
        self.tables = nn.ModuleDict()
        self.numbers = nn.ModuleDict()
        for field in fields:
            match field["kind"]:
                case "category":
                    self.tables[field["name"]] = nn.Embedding(len(field["vocabulary"]) + 1, dim)
                case "bag" | "hashed":
                    size = field["buckets"] if field["kind"] == "hashed" else len(field["vocabulary"])
                    self.tables[field["name"]] = nn.EmbeddingBag(size + 1, dim, mode="mean", padding_idx=0)
                case "number":
                    self.numbers[field["name"]] = nn.Linear(1, dim)
                case "vector":
                    self.numbers[field["name"]] = nn.Linear(field["length"], dim)
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Encoded fields, `[U]` or `[U, F]` each -> `[U, D]`; a vector counts by its direction."""
        total_UD = self.bias
        for field in self.fields:
            name, values = field["name"], inputs[field["name"]]
            match field["kind"]:
                case "number":
                    values = values[:, None]
                case "vector":
                    values = functional.normalize(values, dim=1)
            total_UD = total_UD + (self.tables[name] if name in self.tables else self.numbers[name])(values)
        return total_UD


class TwoTowers(nn.Module):
    """Item tower and user tower over one table of item inputs.

    Args:
        user_fields: fitted encoder fields of the users; may be empty.
        item_fields: fitted encoder fields of the items, `item_item_id` among them.
        hidden: units of the hidden layer of each tower; 0 leaves it out: a vector is the direction of its input.
        recent: besides the whole history, that many of its last places are averaged.
        example_age: whether the user tower is told how old an example is.
    """

    def __init__(
        self,
        user_fields: Sequence[EncoderField],
        item_fields: Sequence[EncoderField],
        dim: int,
        hidden: int,
        recent: Sequence[int] = (),
        example_age: bool = False,
    ) -> None:
        super().__init__()
        self.dim, self.hidden, self.recent = dim, hidden, tuple(recent)
        self.item_fields = FieldSum(item_fields, dim)
        self.user_fields = FieldSum(user_fields, dim)
        # One direction, as small as embeddings at first: a linear layer of one input would begin louder than all else.
        # At age 0, which is what serving asks for, it adds nothing, and no graph has to know of it.
        self.example_age = nn.Embedding(1, dim) if example_age else None
        self.item_network = _network(dim, hidden, dim)
        self.user_network = _network((2 + len(self.recent)) * dim, hidden, dim)

    def item_inputs(self, fields: Mapping[str, Tensor]) -> Tensor:
        """Encoded item fields -> `[U, D]`, what both towers know of an item."""
        inputs_UD: Tensor = self.item_fields(fields)
        return inputs_UD

    def item_vectors(self, inputs_UD: Tensor) -> Tensor:
        """Item inputs -> unit vectors `[U, D]`."""
        return functional.normalize(inputs_UD + self.item_network(inputs_UD) if self.hidden else inputs_UD, dim=1)

    def user_vectors(
        self, fields: Mapping[str, Tensor], history_BH: Tensor, inputs_UD: Tensor, age_days_B: Tensor | None = None
    ) -> Tensor:
        """Encoded user fields and histories -> unit vectors `[B, D]`.

        Args:
            history_BH: 1 + row of `inputs_UD` for every place of the history, newest last; 0 where there is none.
            age_days_B: days from each example to the end of training; None is 0 for all, the moment of serving.
        """
        padded = functional.pad(inputs_UD, (0, 0, 1, 0))
        windows = [history_BH, *(history_BH[:, -length:] for length in self.recent)]
        means = [functional.embedding_bag(w.contiguous(), padded, mode="mean", padding_idx=0) for w in windows]
        described_BD = self.user_fields(fields)
        if self.example_age is not None and age_days_B is not None:
            described_BD = described_BD + torch.log1p(age_days_B)[:, None] * self.example_age.weight
        means.append(described_BD.expand_as(means[0]))
        total_BD = torch.stack(means).sum(dim=0)
        if self.hidden:
            total_BD = total_BD + self.user_network(torch.cat(means, dim=1))
        return functional.normalize(total_BD, dim=1)


def _network(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """One hidden layer, or nothing."""
    if not hidden:
        return nn.Sequential()
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
