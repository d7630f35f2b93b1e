"""A sweep over settings: every combination judged, what they share made once, the best as a config that runs."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from expectations.errors import UserError
from flows.config import load_config
from flows.grid_search import combinations

TINY = {
    "world": {"num_users": 60, "num_items": 120, "num_days": 8},
    "window": {"train_days": 5, "judge_days": 1, "rank_days": 2},
    "als": {"factors": 4, "iterations": 1},
    "towers": {"dim": 8, "fit": {"max_epochs": 1}},
    "ranker": {"fit": {"max_epochs": 1}},
    "evaluation": {"max_ablation_users": 5, "num_resamples": 100},
    "pipeline": {"k": 10},
}
SWEEP = """
import json, sys
from pathlib import Path
from flows.environment import prepare
home, values = Path(sys.argv[1]), json.loads(sys.argv[2])
prepare(home)
from flows.config import check_config
from flows.grid_search import grid_search
from flows.service.prefect_database import ready
ready(home)
grid = {"als.factors": [4, 6], "pipeline.order.exploration_position": [0, 3]}
found = grid_search(grid=grid, night=check_config(values, "test"))
(home / "found.json").write_text(json.dumps(found))
from flows.__main__ import _exit
_exit(0)
"""


def test_combinations_are_every_choice_of_one_value_each():
    assert list(combinations({"a": [1, 2], "b": ["x"]})) == [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]
    with pytest.raises(UserError, match="at least one setting"):
        list(combinations({}))


def test_a_sweep_trains_once_what_its_combinations_share(tmp_path):
    home, trace = tmp_path / "home", tmp_path / "trace"
    script = tmp_path / "sweep.py"
    script.write_text(SWEEP)
    environment = {"PATH": "/usr/bin:/bin", "NIGHTJAR_TRACE": str(trace), "NIGHTJAR_HOME": str(home)}
    root = Path(__file__).resolve().parents[2]
    with (tmp_path / "out").open("w") as out:
        done = subprocess.run(
            [sys.executable, str(script), str(home), json.dumps(TINY)],
            cwd=root,
            env={**environment, "PYTHONPATH": str(root)},
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    assert done.returncode == 0, (tmp_path / "out").read_text()
    found = json.loads((home / "found.json").read_text())
    rows = pq.read_table(found["results"]).to_pylist()
    assert found["combinations"] == len(rows) == 4
    assert {(r["als.factors"], r["pipeline.order.exploration_position"]) for r in rows} == {
        (4, 0),
        (4, 3),
        (6, 0),
        (6, 3),
    }
    assert [r["ndcg@10"] for r in rows] == sorted((r["ndcg@10"] for r in rows), reverse=True)
    published = [line.split()[2].split("/")[0] for line in trace.read_text().splitlines() if " published " in line]
    assert [published.count(d) for d in ("towers", "als_user_factors", "evaluation")] == [1, 2, 4]
    assert load_config(Path(found["winner"])).als.factors == found["best"]["als.factors"]
