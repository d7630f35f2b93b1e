"""What the towers compute, against sums by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.encoding import EncoderField
from models.fit import initialise
from models.retrieval.towers import FieldSum, TwoTowers

ITEM_FIELDS: list[EncoderField] = [
    {"name": "item_item_id", "kind": "category", "vocabulary": [3, 4, 5]},
    {"name": "item_genres", "kind": "bag", "vocabulary": ["a", "b"], "length": 2},
    {"name": "item_duration_s", "kind": "number"},
    {"name": "item_embedding", "kind": "vector", "length": 3},
]
USER_FIELDS: list[EncoderField] = [{"name": "user_region", "kind": "category", "vocabulary": ["x", "y"]}]
ITEMS = {
    "item_item_id": torch.tensor([1, 2, 0]),
    "item_genres": torch.tensor([[1, 2], [2, 0], [0, 0]]),
    "item_duration_s": torch.tensor([0.5, -1.0, 0.0]),
    "item_embedding": torch.tensor([[3.0, 0.0, 4.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]),
}


@pytest.fixture
def model() -> TwoTowers:
    model = TwoTowers(USER_FIELDS, ITEM_FIELDS, dim=4, hidden=8)
    return initialise(model, seed=0).eval()


def test_an_item_input_is_the_sum_of_its_fields(model):
    fields = model.item_fields
    ids, genres = fields.tables["item_item_id"].weight, fields.tables["item_genres"].weight
    duration, vector = fields.numbers["item_duration_s"], fields.numbers["item_embedding"]
    genre, seconds = (genres[1] + genres[2]) / 2, duration(torch.tensor([0.5]))
    first = fields.bias + ids[1] + genre + seconds + vector(torch.tensor([0.6, 0, 0.8]))
    cold = fields.bias + ids[0] + duration(torch.tensor([0.0])) + vector(torch.zeros(3))
    inputs = model.item_inputs(ITEMS)
    assert torch.allclose(inputs[0], first, atol=1e-6)
    assert torch.allclose(inputs[2], cold, atol=1e-6)


def test_without_fields_there_is_the_bias_alone():
    empty = FieldSum([], dim=4)
    assert torch.equal(empty({}), empty.bias)


def test_vectors_have_unit_length(model):
    inputs = model.item_inputs(ITEMS)
    users = model.user_vectors({"user_region": torch.tensor([1, 0])}, torch.tensor([[0, 1], [0, 0]]), inputs)
    assert torch.allclose(model.item_vectors(inputs).norm(dim=1), torch.ones(3))
    assert torch.allclose(users.norm(dim=1), torch.ones(2))


def test_a_history_is_averaged_whatever_its_padding_and_order(model):
    inputs = model.item_inputs(ITEMS)
    region = {"user_region": torch.tensor([2, 2])}
    one, other = model.user_vectors(region, torch.tensor([[0, 0, 1, 2], [2, 1, 0, 0]]), inputs)
    assert torch.allclose(one, other, atol=1e-6)
    history, fields = (inputs[0] + inputs[1]) / 2, model.user_fields({"user_region": torch.tensor([2])})[0]
    expected = history + fields + model.user_network(torch.cat([history, fields]))
    assert torch.allclose(one, functional.normalize(expected, dim=0), atol=1e-6)


def test_searches_are_averaged_whatever_their_number_and_order():
    field = {"name": "user_searched", "kind": "hashed", "buckets": 9, "length": 2, "pieces": 2}
    fields = initialise(FieldSum([field], dim=4), seed=0)
    (one, other, none) = fields({"user_searched": torch.tensor([[0, 0, 3, 9], [9, 3, 0, 0], [0, 0, 0, 0]])})
    table = fields.tables["user_searched"]
    assert isinstance(table, nn.EmbeddingBag)
    rows = table.weight
    assert torch.allclose(one, fields.bias + (rows[3] + rows[9]) / 2) and torch.allclose(one, other)
    assert torch.equal(none, fields.bias)


def test_the_age_of_an_example_moves_the_user_and_age_zero_does_not():
    model = initialise(TwoTowers(USER_FIELDS, ITEM_FIELDS, dim=4, hidden=8, example_age=True), seed=0)
    inputs, history = model.item_inputs(ITEMS), torch.tensor([[0, 1], [0, 1]])
    region = {"user_region": torch.tensor([1, 1])}
    serving = model.user_vectors(region, history, inputs)
    old, new = model.user_vectors(region, history, inputs, torch.tensor([30.0, 0.0]))
    assert torch.equal(new, serving[1]) and not torch.allclose(old, serving[0])
    assert isinstance(model.example_age, nn.Embedding)
    fields = model.user_fields(region)[0] + model.example_age.weight[0] * torch.log1p(torch.tensor(30.0))
    expected = inputs[0] + fields + model.user_network(torch.cat([inputs[0], fields]))
    assert torch.allclose(old, functional.normalize(expected, dim=0), atol=1e-6)


def test_the_last_places_are_averaged_on_their_own():
    model = initialise(TwoTowers([], ITEM_FIELDS, dim=4, hidden=8, recent=(1, 2)), seed=0)
    inputs = model.item_inputs(ITEMS)
    first, second, third = inputs
    (got,) = model.user_vectors({}, torch.tensor([[0, 3, 1, 2]]), inputs)
    means = [(first + second + third) / 3, second, (first + second) / 2, model.user_fields({})]
    expected = sum(means) + model.user_network(torch.cat(means))
    assert torch.allclose(got, functional.normalize(expected, dim=0), atol=1e-6)


def test_a_user_without_history_or_fields_still_has_a_vector():
    model = initialise(TwoTowers([], ITEM_FIELDS, dim=4, hidden=8), seed=0)
    vectors = model.user_vectors({}, torch.zeros(2, 3, dtype=torch.long), model.item_inputs(ITEMS))
    assert vectors.shape == (2, 4) and torch.equal(vectors[0], vectors[1])


def test_without_a_hidden_layer_a_vector_is_the_direction_of_its_input():
    model = initialise(TwoTowers(USER_FIELDS, ITEM_FIELDS, dim=4, hidden=0), seed=0).eval()
    inputs = model.item_inputs(ITEMS)
    assert torch.equal(model.item_vectors(inputs), functional.normalize(inputs, dim=1))
    region = {"user_region": torch.tensor([1])}
    total = (inputs[0] + inputs[2]) / 2 + model.user_fields(region)[0]
    vectors = model.user_vectors(region, torch.tensor([[1, 3]]), inputs)
    assert torch.allclose(vectors[0], functional.normalize(total, dim=0), atol=1e-6)
