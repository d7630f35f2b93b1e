import numpy as np
import pytest
import torch

from models.fit import initialise
from models.sequence.export import export_transformer
from models.sequence.network import SeededDropout, Shape, Transformer, lengths

FIELDS = [{"name": "item_item_id", "column": "item_id", "kind": "category", "vocabulary": list(range(30))}]
SHAPE = Shape(
    dim=8, num_blocks=2, num_heads=2, feedforward=2, max_tokens=6, num_actions=9, num_devices=5, num_gaps=20,
    num_words=50,
)  # fmt: skip


@pytest.fixture
def model() -> Transformer:
    model = Transformer(FIELDS, SHAPE)
    initialise(model, 0, embedding_std=0.3)
    return model.eval()


def _inputs(num: int, length: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    sizes = {"item": 30, "action": 9, "device": 5, "gap": 20}
    inputs = {name: torch.randint(1, size, (num, length), generator=generator) for name, size in sizes.items()}
    return {**inputs, "words": torch.randint(0, 50, (num, length, 3), generator=generator)}


def test_no_place_sees_what_comes_after_it(model):
    titles, inputs = torch.randn(30, 8), _inputs(3, 6)
    before = model(inputs, titles)
    changed = {name: values.clone() for name, values in inputs.items()}
    for name, values in changed.items():
        values[:, 4:] = _inputs(3, 6)[name][:, :2]
    after = model(changed, titles)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_padding_changes_nothing(model):
    titles, inputs = torch.randn(30, 8), _inputs(3, 4)
    padded = {
        name: torch.nn.functional.pad(v, (0, 0, 0, 2) if name == "words" else (0, 2)) for name, v in inputs.items()
    }
    torch.testing.assert_close(model.member_vectors(inputs, titles), model.member_vectors(padded, titles))


@pytest.mark.parametrize("name", ["item", "action", "device", "gap", "words"])
def test_everything_known_of_a_token_counts(model, name):
    titles, inputs = torch.randn(30, 8), _inputs(8, 4)
    changed = {**inputs, name: inputs[name].roll(1, dims=0)}
    assert not torch.allclose(model.member_vectors(inputs, titles), model.member_vectors(changed, titles))


def test_lengths_count_tokens_without_a_title():
    inputs = {"item": torch.tensor([[3, 0, 0], [0, 0, 0]]), "action": torch.tensor([[1, 3, 0], [0, 0, 0]])}
    assert lengths(inputs).tolist() == [2, 0]


def test_dropout_draws_from_its_own_generator():
    def draw() -> torch.Tensor:
        return SeededDropout(0.5, torch.Generator().manual_seed(3)).train()(torch.ones(1000))

    first = draw()
    torch.manual_seed(99)
    assert torch.equal(first, draw())
    assert first.mean().item() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("normalise", [False, True])
def test_the_exported_graph_says_the_same_and_one_that_does_not_is_refused(tmp_path, normalise):
    from dataclasses import replace

    from expectations.errors import Failure

    model = Transformer(FIELDS, replace(SHAPE, normalise=normalise))
    initialise(model, 0, embedding_std=0.3)
    titles = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    ids = np.arange(0, 60, 2)
    export_transformer(model.eval(), ids, titles, 3, tmp_path / "transformer.onnx")
    first = (tmp_path / "transformer.onnx").read_bytes()
    export_transformer(model, ids, titles, 3, tmp_path / "transformer.onnx")
    assert (tmp_path / "transformer.onnx").read_bytes() == first

    class Deeper(Transformer):
        def forward(self, sentences, titles_UD):
            return super().forward(sentences, titles_UD) * 1.01

    other = Deeper(FIELDS, replace(SHAPE, normalise=normalise)).eval()
    other.load_state_dict(model.state_dict())
    with pytest.raises(Failure, match="differs from the trained model"):
        export_transformer(other, ids, titles, 3, tmp_path / "transformer.onnx")
