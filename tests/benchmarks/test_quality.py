"""The command from a folder to its JSON."""

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from benchmarks import quality
from benchmarks.protocols.choosing import BUDGET_S, Trainer, Trial, best, compare
from benchmarks.protocols.progress import Teller
from benchmarks.protocols.rating import that_rate
from benchmarks.protocols.settings import candidates, changed, from_file, in_json, stopping_at
from expectations.errors import UserError
from flows.config import SECTIONS
from models.catalogue import MODELS
from models.retrieval.config import TowersConfig


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


def test_rolling_judges_every_span_after_a_training_on_what_was_before(run: Any, ratings: Path, capsys: Any) -> None:
    last = run("temporal", ratings, "--rolling", "2")
    found = last["rolling"]
    assert set(found["spans"]) == {"popularity", "random"} and len(found["spans"]["popularity"]) == 2
    assert found["spans"]["popularity"][-1] == last["metrics"]
    both = [one["recall@10"] for one in found["spans"]["popularity"]]
    assert found["mean"]["popularity"]["recall@10"] == pytest.approx(sum(both) / 2, abs=1e-6)
    assert found["deviation"]["popularity"]["recall@10"] == pytest.approx(abs(both[0] - both[1]) / 2**0.5, abs=1e-6)
    assert "popularity, mean of the last 2 spans: recall@10" in capsys.readouterr().out
    assert run("temporal", ratings)["rolling"] is None
    for words in (("leave-one-out", "--rolling", "2"), ("temporal", "--rolling", "9")):
        with pytest.raises(SystemExit, match="2"):
            run(words[0], ratings, *words[1:])


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
        ("factor: 7\ndim: 3", "als has no setting `factor`; `nightjar models als` lists"),
        ("towers: {dim: 7}\nwindow: {train_days: 3}", "a night's config without settings in its section `als`"),
        ("- 1", "must hold settings"),
        ("factors: 0", "factors"),
        ("{", "YAML"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=words):
            from_file(model, path)
    with pytest.raises(UserError, match="cannot be read"):
        from_file(model, tmp_path / "none")


def test_no_setting_of_a_model_is_called_as_a_section() -> None:
    """By its sections a night's config is told from settings."""
    for model in MODELS.values():
        assert not {field.name for field in fields(model.settings)} & {*SECTIONS}


@pytest.mark.parametrize("words", [("--seed", "-1"), ("--seed", "x"), ("--threads", "0")])
def test_numbers_that_are_none_are_refused(run: Any, split: Path, capsys: Any, words: tuple[str, str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("fixed-split", split, *words)
    assert f"argument {words[0]}: must be a whole number from" in capsys.readouterr().err


def test_ratings_are_told_with_what_most_folds_chose(run: Any, ratings: Path, monkeypatch: Any) -> None:
    (_, first), (_, second), *_ = that_rate(MODELS["als"], candidates(MODELS["als"], None))
    chosen = iter([first, second, second, first, second])

    def fold_rmse(*_: Any) -> Any:
        own = next(chosen)
        tried = [Trial(str(s.factors), s, -1.0 if s is own else -2.0) for s in (first, second)]
        return {"als": 0.9, "biases": 1.0}, tried

    monkeypatch.setattr("benchmarks.protocols.running.fold_rmse", fold_rmse)
    monkeypatch.setattr("tasks.stages.spark.start_in_background", lambda *_: None)
    found = run("kfold-rmse", ratings, model="als")
    assert found["config"] == in_json(second)
    by_fold = [trial["config"]["factors"] for trial in found["trials"] if trial["chosen"]]
    assert by_fold == [s.factors for s in (first, second, second, first, second)]


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
