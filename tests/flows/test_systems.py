"""Nights of the systems that ask a transformer: released, shared, served without the project."""

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.homes import LISTED

SMALL = "transformer: {dim: 16, fit: {max_epochs: 1}}\nsentences: {length: 40}\n"

SERVE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import pyarrow.parquet as pq
from bundle import Bundle

release = Bundle(sys.argv[1])
night = pq.read_table(sys.argv[2])
mine = release.recommend(sorted(set(night["user_id"].to_pylist()))).table
print(json.dumps({
    "system": release.pipeline["system"],
    "differing": [c for c in mine.column_names if not mine[c].cast(night.schema.field(c).type).equals(night[c])],
    "stranger": release.recommend_for_history(night["item_id"].to_pylist()[:2], k=5).table.num_rows,
    "unwanted": sorted({m.split(".")[0] for m in sys.modules} & {"torch", "mlflow", "models", "tasks"}),
}))
"""


@pytest.fixture(scope="module")
def home(continued, prefect):
    """What both share with the golden night stands."""
    home = continued(LISTED, prefect=prefect)
    home.config.write_text(home.config.read_text() + SMALL)
    return home


def newest(home, dataset):
    folders = (home.path / "home/lake" / dataset).glob("date=*/*/manifest.json")
    return max(folders, key=lambda path: path.stat().st_mtime).parent


def test_netflix_then_hybrid_share_the_transformer_and_each_serves_its_own_lists(home, tmp_path):
    keys = {}
    for system in ("netflix", "hybrid"):
        done = home.night("--set", f"system={system}")
        assert done.returncode == 0, done.stdout + done.stderr
        bundle, lists = newest(home, "bundle") / "bundle", newest(home, "recommendations")
        keys[system] = newest(home, "transformer").name
        (lists_file,) = lists.glob("part-*.parquet")
        served = subprocess.run(
            [sys.executable, "-I", "-c", SERVE, str(bundle), str(lists_file)],
            capture_output=True, text=True, cwd=tmp_path,
        )  # fmt: skip
        assert served.returncode == 0, served.stderr
        expected: dict[str, Any] = {"system": system, "differing": [], "stranger": 5, "unwanted": []}
        assert json.loads(served.stdout) == expected
    assert keys["netflix"] == keys["hybrid"]


def test_member_and_title_vectors_are_artifacts_that_belong_together(home):
    folders = [newest(home, f"{kind}_embeddings") for kind in ("member", "title")]
    members, titles = (pq.read_table(next(folder.glob("part-*.parquet"))) for folder in folders)
    vectors = [np.stack(table["vector"].to_numpy()) for table in (members, titles)]
    assert vectors[0].shape[1] == vectors[1].shape[1] == 16
    assert all(np.linalg.norm(v, axis=1) == pytest.approx(1, abs=1e-4) for v in vectors)
    done = home.ask("show", "member_embeddings")
    assert done.returncode == 0 and "transformer" in done.stdout, done.stdout + done.stderr
