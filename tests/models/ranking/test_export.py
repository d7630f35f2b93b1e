import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from expectations.errors import Failure
from models.fit import load_weights
from models.ranking import export
from models.ranking.config import RankerConfig
from models.ranking.examples import Examples
from models.ranking.export import OUTPUTS, export_onnx, save
from models.ranking.network import Ranker, ServedRanker, Shape
from models.ranking.training import TrainedRanker, predict, train

Train = Callable[..., TrainedRanker]
NAMES = ("x0", "x1", "x2", "position")


@pytest.fixture
def trained(make_examples: Callable[..., Examples], quick: Callable[..., RankerConfig]) -> Train:
    def run(**changes: object) -> TrainedRanker:
        rng = np.random.default_rng(0)
        content = np.column_stack([rng.normal(size=(3000, 2)), rng.lognormal(4, 2, 3000)])
        click = rng.random(3000) < 0.3
        labels = {"position": rng.integers(1, 9, 3000), "completed": np.where(click, content[:, 0] > 0, np.nan)}
        examples = make_examples(content, click, **labels)
        return train(examples, examples, NAMES, quick(epochs=2, **changes))

    return run


@pytest.mark.parametrize(
    "changes",
    [{}, {"num_experts": 3}, {"position_bias": False}, {"hidden": (8, 8, 4)}, {"max_watch_s": 30.0}],
    ids=str,
)
@pytest.mark.parametrize("num_rows", [1, 500])
def test_graph_says_what_the_model_says(
    trained: Train, tmp_path: Path, changes: dict[str, object], num_rows: int
) -> None:
    model = trained(**changes).model
    export_onnx(model, tmp_path / "ranker.onnx")
    features = np.random.default_rng(1).lognormal(2, 2, (num_rows, 4)).astype(np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "ranker.onnx")
    assert [i.name for i in session.get_inputs()] == ["features"]
    assert [o.name for o in session.get_outputs()] == list(OUTPUTS)
    got = np.stack(session.run(None, {"features": features}))
    assert got == pytest.approx(predict(model, features), rel=1e-5, abs=1e-6)
    assert got.shape == (3, num_rows) and got.dtype == np.float32


def test_a_graph_that_lags_behind_the_model_is_refused(
    trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trained().model
    monkeypatch.setattr(export, "CLIP", 0.5)
    with pytest.raises(Failure, match=r"ranker.onnx differs from the trained ranker"):
        export_onnx(model, tmp_path / "ranker.onnx")


def test_files_have_the_same_bytes_every_time(trained: Train, tmp_path: Path) -> None:
    config = RankerConfig()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save(trained(), NAMES, config, {"as_of": "2026-01-01"}, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["ranker.json", "ranker.onnx", "training_log.json", "weights.safetensors"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_weights_and_description_build_the_same_model_again(trained: Train, tmp_path: Path) -> None:
    original = trained(num_experts=2)
    save(original, NAMES, RankerConfig(), {"as_of": "2026-01-01"}, tmp_path)
    described = json.loads((tmp_path / "ranker.json").read_text())
    assert described["features"] == list(NAMES) and described["as_of"] == "2026-01-01"
    ranker = Ranker(Shape(**described["shape"]))
    load_weights(ranker, tmp_path / "weights.safetensors")
    again = ServedRanker(ranker, described["seconds_per_odds"], described["max_watch_s"]).eval()
    features = torch.rand(20, 4)
    assert np.array_equal(predict(again, features.numpy()), predict(original.model, features.numpy()))
