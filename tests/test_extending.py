"""`docs/extending.md`, followed in a copy of the project: a dataset, a stage, a model and a system in a few steps."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.fixed_cost import NIGHT

ROOT = Path(__file__).resolve().parents[1]

DATASET = """
LONGEST = Dataset(
    "longest",
    "the longest item of every genre",
    (
        Column("genre", pa.string(), "genre"),
        Column("item_id", pa.int32(), "dense item id"),
        Column("duration_s", pa.float32(), "length", "s"),
    ),
    key=("genre",),
)

DATASETS: dict"""

MODEL = '''
"""The longest item of every genre."""

import pyarrow as pa


def longest(items: pa.Table) -> pa.Table:
    """One row a genre."""
    best = {}
    for row in items.select(["item_id", "genres", "duration_s"]).to_pylist():
        for genre in row["genres"]:
            best[genre] = max(best.get(genre, (-1.0, -1)), (row["duration_s"], row["item_id"]))
    rows = [{"genre": g, "item_id": i, "duration_s": d} for g, (d, i) in best.items()]
    return pa.Table.from_pylist(rows)
'''

STAGE = '''
"""Stage `longest`."""

from tasks.engine.lake import Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import stage


@stage(produces="longest")
def longest(out: Outputs, items: Artifact) -> None:
    """The longest item of every genre."""
    from models.longest import longest

    out["longest"].write(longest(items.table()))
'''

PLAN_LINE = "    plan.add(longest(T, known.items))\n    popular = plan.add(popularity("

CHECK = """
import sys
from datetime import date
from pathlib import Path
from flows.config import calendar, load_config
from flows.home import prepare
from flows.nightly import plan_night
from flows.night.sources import open_source
from tasks.machine.config import ResourcesConfig
from tasks.engine.admission import Machine
from tasks.engine.lake import Lake
from tasks.engine.running import Night

home = Path(sys.argv[1])
prepare(home)
config = load_config(None, ["world.num_users=50", "world.num_items=120"])
plan = plan_night(config, calendar(config.window, date(2026, 1, 30)), open_source(config, home))
night = Night(Lake(str(home / "lake"), home), home, Machine(ResourcesConfig()))
night.execute(plan.step("catalogue"))
step = plan.step("longest")
assert night.execute(step).state == "ran" and night.execute(step).state == "cached"
artifact = night.artifact(step.made.ref)
assert artifact.manifest["audit"]["passed"] and artifact.rows > 3
"""


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{path.name}: {old!r} stands {text.count(old)} times"
    path.write_text(text.replace(old, new))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("flows", "tasks", "models", "spark_jobs", "expectations", "deployments"):
        shutil.copytree(ROOT / name, tmp_path / "copy" / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "copy"


def test_a_dataset_and_a_stage(copy: Path, tmp_path: Path):
    _edit(copy / "expectations/datasets.py", "\nDATASETS: dict", DATASET)
    _edit(copy / "expectations/datasets.py", "RELEASE, REPORT,", "RELEASE, REPORT, LONGEST,")
    (copy / "models/longest.py").write_text(MODEL.lstrip())
    (copy / "tasks/longest.py").write_text(STAGE.lstrip())
    _edit(copy / "flows/nightly.py", "    popular = plan.add(popularity(", PLAN_LINE)
    _edit(
        copy / "flows/nightly.py",
        "from tasks.stages.recommendations",
        "from tasks.longest import longest\nfrom tasks.stages.recommendations",
    )
    (copy / "check.py").write_text(CHECK)
    done = subprocess.run(
        [sys.executable, "check.py", str(tmp_path / "home")], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


RECOMMENDER = '''
"""What was watched last, first."""

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from expectations.settings import settings
from models.interactions import Floats, Histories, Interactions, Ints, Trained, Training


@settings
class NewestConfig:
    """What was watched last."""

    forget: Annotated[int, Field(ge=1)] = 1_000_000
    """Watches before the newest so many do not count."""


class Newest:
    """The same scores for everyone."""

    def __init__(self, moments: Floats) -> None:
        self.moments = moments

    def scores(self, users: Ints, histories: Histories) -> Floats:
        return np.tile(self.moments, (len(users), 1))

    def save(self, folder: Path) -> None:
        np.save(folder / "moments.npy", self.moments)

    @classmethod
    def load(cls, folder: Path) -> "Newest":
        return cls(np.load(folder / "moments.npy"))


def train(data: Interactions, config: NewestConfig, training: Training) -> Trained:
    """Look at the clock."""
    moments = np.zeros(data.num_items, np.float32)
    order = np.argsort(data.times, kind="stable")[-config.forget :]
    np.maximum.at(moments, data.histories.items[order], np.arange(len(order), dtype=np.float32))
    return Trained(Newest(moments))
'''

ENTRY = """_ALL: tuple[Model, ...] = (
    Model(
        name="newest",
        summary="What was watched last, first.",
        train_at="models.newest:train",
        class_at="models.newest:Newest",
        settings_at="models.newest:NewestConfig",
        source="lists",
    ),
"""


def _add_the_model(copy: Path) -> None:
    """One file of its own, and one entry."""
    (copy / "models/newest.py").write_text(RECOMMENDER.lstrip())
    _edit(copy / "models/catalogue.py", "_ALL: tuple[Model, ...] = (\n", ENTRY)


def test_a_model(copy: Path, tmp_path: Path):
    """The catalogue's own laws hold for it, but for the one about taste: like popularity it knows nobody."""
    _add_the_model(copy)
    laws = copy / "tests/models/test_catalogue.py"
    laws.parent.mkdir(parents=True)
    shutil.copyfile(ROOT / "tests/models/test_catalogue.py", laws)
    command = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-k",
        "newest and not known_by",
        str(laws),
    ]
    done = subprocess.run(
        [sys.executable, *command, f"--basetemp={tmp_path / 'laws'}", f"--rootdir={copy}", "-c", "/dev/null"],
        cwd=copy, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(copy)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


SCORE = """def _twin(scores: Scores, rank: Settings) -> np.ndarray:
    return product(scores, rank["twin_weight"], lambda: np.tanh(scores.of("als")))


_POWERS = """

SYSTEM = """_ALL = (
    System(
        name="twin",
        summary="neighbours of what was watched, by matrix factorisation",
        score=_twin,
        sources=("item_item",),
        asks=("als",),
        settings=("twin_weight", "rank_constant"),
        without={"als_score": {"twin_weight": 0.0}, "retrieval_order": {"twin_weight": 1.0}},
    ),
"""

SETTING = '''    twin_weight: Share = 0.5
    """`twin`: exponent of matrix factorisation's score in the product with the neighbours'."""
    rank_constant: '''

ASK = """
import json
from pathlib import Path
from benchmarks.made_bundle import make_bundle, make_tables
from explorer.knobs import applies, knobs
from flows.config import calendar, load_config
from flows.nightly import plan_night
from flows.night.sources import open_source
from flows.reference import reference
from models.evaluation.ablations import ablations
from models.runtime import Bundle
from models.serving.config import PipelineConfig, pipeline_of
from tasks.engine.stage import plain
from tasks.pages.training import used_for
from models.serving.bundle_runtime import open_bundle

config = load_config(None, ["system=twin", "pipeline.k=8", "pipeline.candidates=60"])
pipeline = plain(pipeline_of(config.system, config.pipeline))
path = make_bundle(Path("made"), make_tables(40, 150), plain(PipelineConfig()))
other = Bundle(path).with_pipeline(pipeline)
lists = lambda settings: other.with_pipeline(settings).recommend(range(40)).table["item_id"].to_pylist()
whole = lists(pipeline)
table = other.recommend(range(40), trace=True).table
alone = open_bundle(path, pipeline=pipeline).recommend(range(40)).table
changed = {name: lists(settings) != whole for name, settings in ablations(pipeline).items()}
source = open_source(config, Path("home"))
plan = plan_night(config, calendar(config.window, source.last_day(config.window)), source)
print(json.dumps({
    "sources": sorted(set(table["source"].to_pylist()) - {"popularity"}),
    "says": [name for name in table.column_names if name.endswith(("_score", "_seconds"))],
    "served alike": alone["item_id"].to_pylist() == whole,
    "ablations": {name: changed[f"without {name}"] for name in ("nothing", "als_score", "retrieval_order")},
    "sources left out": [name for name in changed if name.removeprefix("without ") in other.sources],
    "its knobs": [
        knob.name for knob in knobs()
        if knob.name.split(".")[0] in ("candidates", "rank", "sources", "history") and applies(knob, pipeline)
    ],
    "trains a transformer": "transformer" in {step.name for step in plan.steps},
    "told": "neighbours of what was watched" in reference() and "`twin`: exponent" in reference(),
    "towers": used_for("twin", "towers"),
}))
"""


def test_a_system(copy: Path):
    """An entry with its arithmetic and a setting: it ranks, is left out by parts, turned, planned and told."""
    _edit(copy / "models/runtime/systems.py", "_POWERS = ", SCORE)
    _edit(copy / "models/runtime/systems.py", "_ALL = (\n", SYSTEM)
    _edit(copy / "models/serving/config.py", "    rank_constant: ", SETTING)
    for name in ("benchmarks/made_bundle.py", "explorer/knobs.py"):
        (copy / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    (copy / "ask.py").write_text(ASK)
    done = subprocess.run([sys.executable, "ask.py"], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "sources": ["item_item"],
        "says": ["als_score"],
        "served alike": True,
        "ablations": {"nothing": False, "als_score": True, "retrieval_order": True},
        "sources left out": [],
        "its knobs": [
            "candidates", "history.length", "history.half_life", "history.num_neighbours", "rank.twin_weight",
            "rank.rank_constant",
        ],
        "trains a transformer": False,
        "told": True,
        "towers": "variety, similar items",
    }  # fmt: skip


CONSUMER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from bundle import Bundle

release = Bundle(sys.argv[1])
users = release.user_ids
found, _ = release.retrieve("newest", users, 5)
table = release.recommend(users).table
print(json.dumps({
    "sources": release.sources,
    "retrieved": int((found >= 0).sum()),
    "listed": table["source"].to_pylist().count("newest"),
    "without a reason": table["reason"].null_count,
    "unwanted": sorted({m.split(".")[0] for m in sys.modules} & {"torch", "mlflow", "models", "tasks", "flows"}),
}))
"""


@pytest.mark.slow
def test_a_model_as_a_source_of_a_night(copy: Path, tmp_path: Path):
    """Three lines in the config train it, judge it alone and left out, serve it without the project and explain it."""
    _add_the_model(copy)
    asked = NIGHT.replace("pipeline: {", "pipeline: {sources: {newest: {num_candidates: 30, weight: 3}}, ")
    (copy / "night.yaml").write_text(f"{asked}models: {{newest: {{forget: 5000}}}}\n")

    def command(*arguments: str) -> str:
        environment = {**os.environ, "NIGHTJAR_HOME": str(tmp_path / "home")}
        line = [sys.executable, "-m", "flows", *arguments]
        done = subprocess.run(line, cwd=copy, env=environment, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert re.search(r"newest +ran", command("run", "night.yaml"))
    (evaluation,) = (tmp_path / "home/lake/evaluation").glob("date=*/*/part-*.parquet")
    systems = set(pq.read_table(evaluation)["system"].to_pylist())
    assert {"newest", "without newest"} <= systems
    assert "newest" in (tmp_path / "home/reports/2026-01-12/fusion/report.html").read_text()
    assert "cached" in command("explain") and "forget" in command("models", "newest")
    command("pull", "--to", str(tmp_path / "release"))
    served = subprocess.run(
        [sys.executable, "-I", "-c", CONSUMER, str(tmp_path / "release")], capture_output=True, text=True, cwd=tmp_path
    )
    assert served.returncode == 0, served.stderr
    found = json.loads(served.stdout)
    assert "newest" in found["sources"] and found["retrieved"] > 100 and found["listed"] > 0
    assert found["without a reason"] == 0 and found["unwanted"] == []
