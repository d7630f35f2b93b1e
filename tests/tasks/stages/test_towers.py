"""Stage `towers`: from artifacts to a folder that the runtime can use."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from expectations.errors import Failure
from models.config import FitConfig
from models.retrieval.artifact import tower_digest
from models.retrieval.config import TowersConfig
from models.runtime.user_tower import UserTower
from tasks.engine.lake import MANIFEST
from tasks.stages.towers import towers

CONFIG = TowersConfig(
    dim=8, hidden=16, history_length=6, recent_lengths=(2,), batch_size=32, mixed_negatives=16, min_item_positives=1,
    validation_days=1, validation_k=5, fit=FitConfig(learning_rate=1e-2, max_epochs=6),
)  # fmt: skip


def inputs(small_log):
    return {name: small_log[name] for name in ("watches", "known")}


def test_the_folder_has_what_a_bundle_and_a_reader_need(run_stage, small_log):
    _, made = run_stage(towers, "2026-03-04", **inputs(small_log), config=CONFIG)
    files = {path.name for path in made["towers"].path.iterdir()} - {MANIFEST}
    assert files == {
        "weights.safetensors", "user_tower.onnx", "item_tower.onnx", "encoders.json", "model.json", "training_log.json",
    }  # fmt: skip
    notes = made["towers"].notes
    assert notes["tower_digest"] == tower_digest(made["towers"].path)
    assert (notes["trained_to"], notes["dim"], notes["validation_k"]) == ("2026-03-03", 8, 5)
    log = json.loads((made["towers"].path / "training_log.json").read_text())
    assert notes["best_epoch"] == log["best_epoch"]
    assert notes["validation_recall"] == log["epochs"][log["best_epoch"] - 1]["metric"] > 2 * 5 / 60
    assert notes["num_examples"] > 400 and notes["num_validation"] > 50


def test_users_of_one_taste_get_vectors_of_one_kind(run_stage, small_log):
    _, made = run_stage(towers, "2026-03-04", **inputs(small_log), config=CONFIG)
    vectors = UserTower(made["towers"].path).vectors(small_log["known"].users.table(), np.full((42, 6), -1))
    similarity = vectors @ vectors.T
    same = np.arange(42)[:, None] % 2 == np.arange(42) % 2
    assert similarity[same].mean() > similarity[~same].mean() + 0.2


def test_searches_become_an_input_of_the_user_tower(run_stage, small_log, artifact_of, tmp_path):
    """Users 0 to 9 type a word on the first day; a log that has no searches has no such input."""
    day = datetime(2026, 3, 1, 9, tzinfo=UTC)
    rows = [
        {"search_id": u, "user_id": u, "time": day, "query": "dark river", "tokens": ["dark", "river"]}
        for u in range(10)
    ]
    searches = (artifact_of(tmp_path / "lake", "searches", "2026-03-01", rows),)
    inputs_of = {}
    for name, given in (("with", {"searches": searches}), ("without", {})):
        _, made = run_stage(towers, "2026-03-04", **inputs(small_log), **given, config=CONFIG)
        encoders = json.loads((made["towers"].path / "encoders.json").read_text())
        inputs_of[name] = {f["name"] for f in encoders["user"]}
    assert inputs_of["with"] - inputs_of["without"] == {"user_searched"} and "user_region" in inputs_of["without"]


def test_same_inputs_same_bytes_another_seed_others(run_stage, small_log):
    folders = [
        run_stage(towers, "2026-03-04", **inputs(small_log), config=replace(CONFIG, seed=seed))[1]["towers"].path
        for seed in (0, 0, 1)
    ]
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes(), path.name
    assert tower_digest(folders[0]) != tower_digest(folders[2])


def test_a_window_without_watches_is_refused(run_stage, small_log):
    with pytest.raises(Failure, match="no examples to learn from"):
        run_stage(towers, "2026-03-04", **inputs(small_log) | {"watches": ()}, config=CONFIG)
