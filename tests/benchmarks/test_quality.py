"""The command from a folder to its JSON."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import quality
from benchmarks.protocols.choosing import BUDGET_S, Trainer, Trial, best, compare
from benchmarks.protocols.progress import Teller
from benchmarks.protocols.settings import candidates, changed, from_file, stopping_at
from expectations.errors import UserError
from models.retrieval.config import TowersConfig
from tasks.catalogue import MODELS


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call the command in a home of its own; gives what it wrote."""
    monkeypatch.setenv("NIGHTJAR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(quality, "prepare", lambda home: None)

    def call(protocol: str, data: Path, *more: str, model: str = "popularity") -> dict[str, Any]:
        out = tmp_path / "out.json"
        words = ["quality", "--protocol", protocol, "--data", str(data), "--model", model, "--out", str(out), *more]
        monkeypatch.setattr(sys, "argv", words)
        quality.main()
        return json.loads(out.read_text())

    return call


@pytest.mark.parametrize(
    ("protocol", "folder", "metric"),
    [
        ("fixed-split", "split", "recall@20"),
        ("leave-one-out", "sequences", "ndcg@10"),
        ("sampled-negatives", "negatives", "hit_rate@10"),
        ("temporal", "ratings", "recall@10"),
    ],
)
def test_every_ranking_protocol(run: Any, request: Any, protocol: str, folder: str, metric: str) -> None:
    found = run(protocol, request.getfixturevalue(folder))
    assert 0 <= found["metrics"][metric] <= 1
    assert found["intervals"][metric][0] <= found["metrics"][metric] <= found["intervals"][metric][1]
    assert {"random"} <= set(found["baselines"])
    half_lives = len(MODELS["popularity"].trials) if protocol == "temporal" else 0
    assert len(found["trials"]) == 1 + half_lives, "without times a half-life is no trial"
    assert all(trial["value"] is not None for trial in found["trials"])
    assert found["test_looks"] == 1 and found["seed"] == 0 and found["peak_memory_mib"] > 0
    assert set(found["config"]) == {"half_life_days"} and "numpy" in found["versions"]


def test_looks_add_up_and_a_file_of_settings_ends_the_choosing(run: Any, split: Path, tmp_path: Path) -> None:
    run("fixed-split", split)
    (tmp_path / "own.yaml").write_text("popularity:\n  half_life_days: 3\n")
    found = run("fixed-split", split, "--config", str(tmp_path / "own.yaml"))
    assert found["test_looks"] == 2
    assert found["config"] == {"half_life_days": 3} and len(found["trials"]) == 1


def test_only_als_predicts_ratings(run: Any, ratings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("kfold-rmse", ratings)
    assert "choose --model als" in capsys.readouterr().err


def test_settings_come_from_three_kinds_of_files(tmp_path: Path) -> None:
    model, path = MODELS["als"], tmp_path / "file.yaml"
    for text in ("factors: 7", "als: {factors: 7}\nwindow: {train_days: 3}", '{"config": {"factors": 7}, "seed": 1}'):
        path.write_text(text)
        assert from_file(model, path) == model.settings(factors=7)
    for text, words in (
        ("factor: 7", "factor"),
        ("- 1", "must hold settings"),
        ("factors: 0", "factors"),
        ("{", "YAML"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=words):
            from_file(model, path)
    with pytest.raises(UserError, match="cannot be read"):
        from_file(model, tmp_path / "none")


def test_every_trial_of_the_catalogue_is_possible() -> None:
    for model in MODELS.values():
        found = candidates(model, None)
        assert found[0] == ("default", model.settings())
        assert len({repr(settings) for _, settings in found}) == len(found)


def test_inner_settings_change() -> None:
    assert changed(TowersConfig(), {"fit.max_epochs": 3, "dim": 8}).fit.max_epochs == 3
    assert stopping_at(TowersConfig(), 4).fit.max_epochs == 4
    assert stopping_at(TowersConfig(), None) == TowersConfig()


def test_the_best_of_what_there_was_time_for_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("benchmarks.protocols.progress.time.monotonic", lambda: clock[0])
    trainer = Trainer(MODELS["popularity"], tmp_path, 0, 1, Teller())

    def slow(words: str, settings: Any) -> Trial:
        clock[0] += BUDGET_S / 4
        return Trial(words, settings, {"a": 0.2, "b": 0.3}[words])

    trials = compare(trainer, [("a", 1), ("b", 2), ("c", 3)], slow)
    assert [trial.value for trial in trials] == [0.2, 0.3, None]
    assert best(trials).words == "b"
