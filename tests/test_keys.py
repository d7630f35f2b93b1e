"""What reruns when something is edited, in a copy of the project: what decides content does, and nothing else."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]

PLANS = """
import json
from datetime import date
from pathlib import Path
from flows.config import calendar, load_config
from flows.nightly import plan_night
from flows.night.sources import open_source

def plan_of(day, *settings):
    config = load_config(None, settings)
    return plan_night(config, calendar(config.window, day), open_source(config, Path("home")))

def plan_of_log(name):
    settings = "source.kind=table", f"source.path={name}", "window.train_days=10", "window.judge_days=1"
    return plan_of(date(2020, 1, 18), *settings)

nights = {
    "fusion": plan_of(date(2026, 1, 30)),
    "hybrid": plan_of(date(2026, 1, 30), "system=hybrid"),
    "csv": plan_of_log("log.csv"),
    "parquet": plan_of_log("log.parquet"),
}
keys, inputs, strangers = {}, {}, {}
for night, plan in nights.items():
    made_by = {ref: s.name for s in plan.steps for ref in (r for cell in s.cells for r in cell.refs)}
    for s in plan.steps:
        name = f"{night} {s.name}"
        read = {ref for ref in s.needs if ref not in [known.ref for known in s.audited_against.values()]}
        keys[name] = [cell.key for cell in s.cells]
        inputs[name] = sorted({f"{night} {made_by[ref]}" for ref in read})
        strangers[name] = sorted(s.stage.named - {ref.dataset for ref in read} - set(s.stage.produces))
scratch = {what: sorted(map(str, Path("home").glob(f"scratch/sources/*/{what}/*"))) for what in ("parts", "states")}
print(json.dumps({"keys": keys, "inputs": inputs, "strangers": strangers, **scratch}))
"""


def _copy(folder: Path) -> Path:
    """The project, and a log of twenty days in two formats."""
    for name in ("flows", "tasks", "models", "spark_jobs", "expectations"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "plans.py").write_text(PLANS)
    hours = pd.date_range("2020-01-01", "2020-01-20", freq="h")
    log = pd.DataFrame({"user": [f"u{n % 7}" for n in range(len(hours))], "item": range(len(hours)), "time": hours})
    log.to_csv(folder / "log.csv", index=False)
    log.to_parquet(folder / "log.parquet", index=False)
    return folder


def _plans(copy: Path) -> dict[str, Any]:
    """What `PLANS` prints, of nights on made data and on the log."""
    done = subprocess.run([sys.executable, "plans.py"], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Edits:
    """A copy of the project that is edited.

    Attributes:
        before, after: plans before the last edits and after them.
    """

    def __init__(self, copy: Path, plans: dict[str, Any]) -> None:
        self.copy = copy
        self.after = self.before = plans
        self._originals: dict[Path, str] = {}

    def make(self, *edits: tuple[str, str, str]) -> None:
        """Edit files: path, what stands there once, what takes its place."""
        for path, old, new in edits:
            file = self.copy / path
            text = file.read_text()
            self._originals.setdefault(file, text)
            assert text.count(old) == 1, f"{path}: {old!r} stands {text.count(old)} times"
            file.write_text(text.replace(old, new))
        self.before, self.after = self.after, _plans(self.copy)

    def undo(self) -> None:
        """Bring every file back as it was."""
        for file, text in self._originals.items():
            file.write_text(text)

    @property
    def reruns(self) -> set[str]:
        """`night stage` of every stage that has another key now."""
        return {name for name, keys in self.before["keys"].items() if self.after["keys"][name] != keys}

    @property
    def new(self) -> dict[str, int]:
        """How many files were parsed, and how many sources were looked through, again."""
        return {what: len({*self.after[what]} - {*self.before[what]}) for what in ("parts", "states")}

    def made_of(self, *stages: str) -> set[str]:
        """Stages of these names in all nights, and all that is made of what they make."""
        found = {name for name in self.before["keys"] if name.split()[1] in stages}
        assert found
        while more := {name for name, inputs in self.before["inputs"].items() if found & {*inputs}} - found:
            found |= more
        return found


@pytest.fixture(scope="module")
def unedited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A copy and its plans, for all tests in turn."""
    copy = _copy(tmp_path_factory.mktemp("copy"))
    return copy, _plans(copy)


@pytest.fixture
def edits(unedited: tuple[Path, dict[str, Any]]) -> Iterator[Edits]:
    made = Edits(*unedited)
    yield made
    made.undo()


def _first_docstring(path: str) -> tuple[str, str, str]:
    return path, (ROOT / path).read_text().split('"""')[1], "In other words."


NEW_DATASET = """_LONG = (Column("item_id", pa.int32(), "dense item id"),)
LONGEST = Dataset("longest", "the longest item", _LONG, ("item_id",))

DATASETS: dict"""
NEW_RULE = """    "longest": (_NOT_EMPTY,),
    "als_user_factors": _FACTORS,"""

NEW_MODEL = """_ALL: tuple[Model, ...] = (
    Model(
        name="newest",
        summary="What was watched last, first.",
        train_at="tasks.recommenders:train_popularity",
        class_at="models.collaborative.popularity:Popularity",
        settings_at="spark_jobs.config:PopularityConfig",
        section="popularity",
    ),
"""

NEW_COMMAND = """@click.command()
def longest() -> None:
    pass


@click.command()
@click.argument("name", required=False)"""

NEW_FORMAT = """FORMATS = (Format("json", "JSON", (".jsonl",), True, "tasks.sources.json_files:read_json"), CSV"""

WORDS = {
    "docstrings": (
        *map(_first_docstring, ("models/losses.py", "spark_jobs/als.py", "models/runtime/order.py")),
        _first_docstring("tasks/sources/csv_files.py"),
    ),
    "the meaning of a dataset": (("expectations/datasets.py", "every item shown, watched or not", "all shown"),),
    "the meaning of a column": (("expectations/datasets.py", "place in the request, from 1", "1 is the first"),),
    "a unit": (("expectations/datasets.py", '"mean bit rate", "kbit/s"', '"mean bit rate", "kilobit a second"'),),
    "a rule's message": (("expectations/rules.py", "an item as its own neighbour", "its own neighbour"),),
    "an error": (
        ("tasks/stages/index.py", "were made by another tower than the queries", "and the queries have two towers"),
        ("tasks/sources/listings.py", "rows have the id {rows[0]", "rows are of {rows[0]"),
    ),
    "an error of a release": (
        ("models/runtime/release.py", "at least one above 0", "one or more above 0"),
        ("models/serving/config.py", "it must be at least k, which is", "k is larger:"),
        ("models/serving/sources.py", "is called so; rename it", "has that name"),
    ),
    "what a system is": (
        ("models/runtime/systems.py", "two towers and watch-time ranking", "towers, then watch time"),
    ),
    "what is told of an epoch": (("expectations/progress.py", "epoch {number}: loss", "after epoch {number}: loss"),),
    "what stands in for missing data": (
        ("expectations/substitutes.py", "every event counts as a positive", "all events are positives"),
        ("expectations/substitutes.py", "uniformly from what the user", "evenly from what the user"),
    ),
    "why rows were left out": (("tasks/sources/refusals.py", "{num_rows(count)} with {reason}", "{reason}: {count}"),),
}
ADDITIONS = {
    "a dataset": (
        ("expectations/datasets.py", "DATASETS: dict", NEW_DATASET),
        ("expectations/datasets.py", "RELEASE, REPORT,", "RELEASE, REPORT, LONGEST,"),
        ("expectations/rules.py", '    "als_user_factors": _FACTORS,', NEW_RULE),
    ),
    "a model of the catalogue": (("models/catalogue.py", "_ALL: tuple[Model, ...] = (\n", NEW_MODEL),),
    "a command": (("flows/cli/models.py", '@click.command()\n@click.argument("name", required=False)', NEW_COMMAND),),
    "a format of logs": (("tasks/sources/formats.py", "FORMATS = (CSV", NEW_FORMAT),),
    "a kind of source": (
        ("tasks/sources/discovery.py", "KINDS = {", 'KINDS = {"stream": "tasks.sources.streams:find_stream", '),
    ),
    "a stage": (("tasks/stages/index.py", "def _shards(", "def _unused() -> None:\n    pass\n\n\ndef _shards("),),
}


def test_words_and_additions_rerun_nothing(edits: Edits):
    """All at once; where this fails, the names of the edits above say where to look."""
    edits.make(*(edit for group in (WORDS, ADDITIONS) for some in group.values() for edit in some))
    assert not edits.reruns
    assert edits.new == {"parts": 0, "states": 0}


def test_no_stage_names_a_dataset_that_it_has_nothing_to_do_with(edits: Edits):
    """A change of that dataset would rerun it."""
    assert not {stage: names for stage, names in edits.before["strangers"].items() if names}


def test_a_type_reruns_those_that_make_the_dataset_and_their_descendants(edits: Edits):
    edits.make((
        "expectations/datasets.py",
        'Column("num_shown", pa.int32(), "impressions")', 'Column("num_shown", pa.int64(), "impressions")',
    ))  # fmt: skip
    assert edits.reruns == edits.made_of("features")
    edits.make(("expectations/datasets.py", '    key=("request_id", "position"),\n', '    key=("request_id",),\n'))
    assert edits.reruns == {n for n in edits.made_of("events") if n.startswith(("fusion", "hybrid"))}
    assert edits.new == {"parts": 0, "states": 0}


def test_a_rule_reruns_those_that_make_the_dataset_and_their_descendants(edits: Edits):
    edits.make(
        ("expectations/rules.py", '        count("num_users"),\n        place("rank"),', '        place("rank"),')
    )
    assert edits.reruns == edits.made_of("popularity")


def test_code_reruns_the_stages_that_reach_it_and_their_descendants(edits: Edits):
    loss = next(
        r for r in (ROOT / "models/losses.py").read_text().splitlines() if "return" in r and "cross_entropy" in r
    )
    gram = next(r for r in (ROOT / "spark_jobs/als.py").read_text().splitlines() if r.startswith("def _gram("))
    edits.make(("models/losses.py", loss, loss + " * 1.0"), ("spark_jobs/als.py", gram, gram + "\n    _ = 1"))
    assert edits.reruns == edits.made_of("towers", "transformer", "als")
    # Every bundle has a copy of its runtime, though no stage names it; of what is new nothing is reached yet.
    edits.make(
        ("models/runtime/order.py", "NOT_FRESH = 200.0, 100.0", "NOT_FRESH = 300.0, 100.0"),
        ("spark_jobs/als.py", "def _gram(", "_NEW = 1\n\n\ndef _gram("),
    )
    assert edits.reruns == edits.made_of("bundle")


def test_what_the_days_allow_reruns_the_report_that_says_it(edits: Edits):
    edits.make(("models/evaluation/potential.py", "NUM_ASKED = 2_000", "NUM_ASKED = 2_001"))
    assert edits.reruns == edits.made_of("report")


def test_a_reader_of_one_format_parses_only_logs_of_that_format_again(edits: Edits):
    edits.make(
        ("tasks/sources/csv_files.py", 'MISSING = ["",', 'MISSING = ["", "NA",'),
        ("tasks/sources/movielens.py", "_UNDER_18 = 17", "_UNDER_18 = 16"),
    )
    assert edits.new == {"parts": 1, "states": 1}
    assert not edits.reruns, "the log has the same days"
    edits.make(("tasks/sources/parquet_files.py", "        first = 1\n", "        first = 1 + 0\n"))
    assert edits.new == {"parts": 1, "states": 1}
    edits.make(("tasks/sources/times.py", "if size < 1e11", "if size < 1e12"))
    assert edits.new == {"parts": 2, "states": 2}
    edits.make(
        ("tasks/sources/data_files.py", "_HEAD_BYTES = 1 << 12", "_HEAD_BYTES = 2 << 11"),  # it finds the same files
        ("tasks/sources/ids.py", "ALWAYS = ", "ALWAYS = 0 + "),
    )
    assert edits.new == {"parts": 0, "states": 2}


EDITED = """
import sys, time
from datetime import date
from pathlib import Path
from expectations.errors import Failure
from flows.config import calendar, load_config
from flows.home import prepare
from flows.nightly import plan_night
from flows.night.sources import open_source
from tasks.engine.admission import Machine
from tasks.engine.lake import Lake
from tasks.engine.running import Night
from tasks.machine.config import ResourcesConfig

home, file, old, new = Path("home").resolve(), Path(sys.argv[1]), sys.argv[2], sys.argv[3]
prepare(home)
config = load_config(None, ["world.num_users=50", "world.num_items=120"])
plan = plan_night(config, calendar(config.window, date(2026, 1, 30)), open_source(config, home))
night = Night(Lake(str(home / "lake"), home), home, Machine(ResourcesConfig()))
night.execute(plan.step("catalogue"))
text = file.read_text()
assert text.count(old) == 1
file.write_text(text.replace(old, new))
step = plan.step("content_similarity")
try:
    print(night.execute(step).state)
except Failure as error:
    print(error)
print("stands" if night.lake.stands(step.made.ref) else "nothing")
"""


@pytest.mark.parametrize(
    ("new", "said", "left"),
    [
        ("_TIE = 1e-6  #", "content_similarity: models/content.py changed while the run was under way", "nothing"),
        ("_TIE = 1e-7  # or nearly so;", "ran", "stands"),
    ],
    ids=["other code", "other words"],
)
def test_what_is_made_while_its_code_is_edited_is_not_kept(tmp_path: Path, new: str, said: str, left: str):
    """Not under the key of the code that stood when the run was planned, nor under any other."""
    copy = _copy(tmp_path)
    (copy / "edited.py").write_text(EDITED)
    command = [sys.executable, "edited.py", "models/content.py", "_TIE = 1e-7  #", new]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *_, told, stands = done.stdout.splitlines()
    assert told.startswith(said) and stands == left
