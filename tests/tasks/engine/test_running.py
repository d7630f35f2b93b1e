"""Laws of every stage: the same key is made once, the order of days does not matter, publishing is atomic."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from expectations.errors import Failure
from tasks.engine.admission import Admission, Machine
from tasks.engine.lake import MANIFEST, Lake
from tasks.engine.quarantine import find, quarantined, release
from tasks.engine.running import Night
from tasks.engine.stage import Stage, merged
from tasks.machine.config import ResourcesConfig

DAYS = ["2026-03-01", "2026-03-02", "2026-03-03"]


def test_the_same_key_twice_is_cached(night, stages, calls):
    step = stages[0](DAYS[0])
    first, second = night.execute(step), night.execute(step)
    assert (first.state, second.state, calls) == ("ran", "cached", [f"counting {DAYS[0]}"])
    assert first.rows == second.rows == 3


@pytest.mark.parametrize("change", [{"scale": 2}, {"rows": 4}])
def test_a_changed_value_is_another_key(night, stages, change):
    assert stages[0](DAYS[0]).cells[0].key != stages[0](DAYS[0], **change).cells[0].key


def test_keys_follow_from_date_code_inputs_and_rules(stages, stage_of, count, monkeypatch):
    counted, copied = stages
    one, other = counted(DAYS[0]).made, counted(DAYS[0], scale=2).made
    edited = stage_of(count, "popularity", code="2")
    keys = {
        counted(DAYS[0]).cells[0].key,
        counted(DAYS[1]).cells[0].key,
        edited(DAYS[0]).cells[0].key,
        copied(DAYS[0], popularity=one).cells[0].key,
        copied(DAYS[0], popularity=other).cells[0].key,
        copied(DAYS[0], popularity=one, days=(other,)).cells[0].key,
    }
    monkeypatch.setattr("expectations.rules.rules_digest", lambda name: "stricter")
    keys.add(counted(DAYS[0]).cells[0].key)
    assert len(keys) == 7


def test_placement_is_not_in_the_key(night, stages):
    key = stages[0](DAYS[0]).cells[0].key
    larger = Night(
        night.lake, night.home, Machine(ResourcesConfig(threads=1, memory_gib=64, spark_master="spark://h:7077"))
    )
    larger.execute(stages[0](DAYS[0]))
    assert night.execute(stages[0](DAYS[0])).state == "cached"
    assert stages[0](DAYS[0]).cells[0].key == key


def _digests(lake: Lake, stages: tuple[Stage, Stage], days: list[str], home, parallel: bool) -> dict[str, str]:
    night = Night(lake, home, Machine(ResourcesConfig()))
    steps = [merged(map(stages[0], days))] if parallel else [stages[0](d) for d in days]
    for step in steps:
        night.execute(step)
    found = {d: night.lake.find(stages[0](d).made.ref) for d in sorted(days)}
    digests = {d: artifact.content_digest for d, artifact in found.items() if artifact}
    assert list(digests) == list(found), "every day has its artifact"
    return digests


def test_order_and_grouping_of_days_do_not_matter(tmp_path, stages):
    lakes = [Lake(str(tmp_path / str(n)), tmp_path / "s") for n in range(3)]
    forward = _digests(lakes[0], stages, DAYS, tmp_path, False)
    backward = _digests(lakes[1], stages, DAYS[::-1], tmp_path, False)
    together = _digests(lakes[2], stages, DAYS, tmp_path, True)
    assert forward == backward == together


def test_only_the_missing_days_run(night, stages, calls):
    night.execute(stages[0](DAYS[1]))
    outcome = night.execute(merged(map(stages[0], DAYS)))
    assert (outcome.ran, outcome.cells) == (2, 3)
    assert calls == [f"counting {d}" for d in (DAYS[1], DAYS[0], DAYS[2])]


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete file", "delete manifest", "break manifest"])
def test_damaged_and_deleted_artifacts_are_rebuilt(night, stages, calls, damage):
    step = stages[0](DAYS[0])
    night.execute(step)
    before = night.lake.find(step.made.ref)
    part = before.files[0]
    match damage:
        case "flip":
            data = bytearray(part.read_bytes())
            data[len(data) // 2] ^= 1
            part.write_bytes(data)
        case "truncate":
            part.write_bytes(part.read_bytes()[:-10])
        case "delete file":
            part.unlink()
        case "delete manifest":
            (before.path / MANIFEST).unlink()
        case "break manifest":
            (before.path / MANIFEST).write_text("{")
    digest = before.content_digest if damage in ("flip", "truncate", "delete file") else None
    assert night.lake.find(step.made.ref) is None
    assert night.execute(step).state == "ran"
    after = night.lake.find(step.made.ref)
    assert after and len(calls) == 2 and digest in (None, after.content_digest)


def test_a_failing_audit_goes_to_quarantine_and_nothing_is_lost(night, stages):
    good, bad = stages[0](DAYS[0]), stages[0](DAYS[1], rows=-3)
    with pytest.raises(Failure, match=r"popularity.*rank") as error:
        night.execute(bad)
    assert night.lake.find(bad.made.ref) is None
    (entry,) = quarantined(night.lake)
    assert entry.id in str(error.value) and (entry.path / "popularity" / "part-00000.parquet").exists()
    assert entry.report["findings"][0]["unexpected_count"] == 3
    assert night.execute(good).state == "ran"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"findings": [3]}'])
def test_quarantine_without_a_readable_report_is_listed(night, stages, text):
    with pytest.raises(Failure):
        night.execute(stages[0](DAYS[1], rows=-3))
    (entry,) = quarantined(night.lake)
    (entry.path / "report.json").write_text(text)
    assert quarantined(night.lake) == [entry]
    assert entry.report["findings"] == [{"message": "report.json is damaged"}]


def test_good_days_are_published_although_another_fails(night, stages):
    step = merged(stages[0](day, rows=-3 if day == DAYS[1] else 3) for day in DAYS)
    with pytest.raises(Failure):
        night.execute(step)
    assert [night.lake.find(r) is not None for r in step.refs("popularity")] == [True, False, True]


def test_what_is_released_from_quarantine_stands_with_its_reason(night, stages):
    step = stages[0](DAYS[0], rows=-3)
    with pytest.raises(Failure):
        night.execute(step)
    release(night.lake, find(night.lake, "counting-2026"), "the source says so")
    assert night.execute(step).state == "cached"
    manifest = night.lake.find(step.made.ref).manifest
    assert manifest["audit"]["released_because"] == "the source says so" and not quarantined(night.lake)


def test_nothing_stays_aside(night, stages):
    night.execute(merged(map(stages[0], DAYS)))
    assert list((night.lake.root / ".staging").iterdir()) == []


def test_a_forced_stage_runs_again_and_replaces(night, stages, calls):
    step = stages[0](DAYS[0])
    night.execute(step)
    forced = Night(night.lake, night.home, night.machine, force=frozenset({"counting"}))
    assert forced.execute(step).state == "ran"
    assert forced.execute(step).state == "cached"
    assert len(calls) == 2


def test_two_runs_at_once_make_it_once(tmp_path):
    root = Path(__file__).resolve().parents[3]
    (tmp_path / "race.py").write_text(
        "import sys, time; from pathlib import Path\n"
        f"sys.path[:0] = [{str(root)!r}, {str(root / 'tests' / 'tasks')!r}]\n"
        "from conftest import make_stage, counting\n"
        "from tasks.engine.running import Night; from tasks.engine.lake import Lake\n"
        "from tasks.engine.admission import Machine; from tasks.machine.config import ResourcesConfig\n"
        "def slowly(out):\n    time.sleep(2)\n    counting(out)\n"
        f"home = Path({str(tmp_path)!r})\n"
        "night = Night(Lake(str(home / 'lake'), home), home, Machine(ResourcesConfig()))\n"
        f"print(night.execute(make_stage(slowly, 'popularity')({DAYS[0]!r})).state)\n"
    )
    runs = [
        subprocess.Popen([sys.executable, tmp_path / "race.py"], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    assert sorted(r.communicate(timeout=400)[0].strip() for r in runs) == ["cached", "ran"]


def test_steps_share_memory_and_threads(stage_of, count):
    admission = Admission(ResourcesConfig(memory_gib=4, threads=2))
    large, small = stage_of(count, "popularity", memory_gib=3), stage_of(count, "popularity", memory_gib=1)
    inside: list[str] = []

    began, may_leave = {n: threading.Event() for n in "abc"}, threading.Event()

    def run(stage: Stage, name: str) -> None:
        with admission.admit(stage):
            inside.append(name)
            began[name].set()
            assert may_leave.wait(120)
            inside.append(f"{name} left")

    threads = [threading.Thread(target=run, args=a) for a in ((large, "a"), (large, "b"), (small, "c"))]
    threads[0].start()
    assert began["a"].wait(120)
    threads[1].start()
    threads[2].start()
    assert began["c"].wait(120)
    may_leave.set()
    for thread in threads:
        thread.join()
    assert inside.index("a left") < inside.index("b")


KILLS = """
import json, os, sys
from pathlib import Path

root, home = map(Path, sys.argv[1:3])
sys.path[:0] = [str(root), str(root / "tests" / "tasks")]
from conftest import copying, counting, make_stage
from tasks.engine.audit import warm_up
from tasks.machine.config import ResourcesConfig
from tasks.engine.lake import Lake
from tasks.engine.admission import Machine
from tasks.engine.running import Night
from tasks.engine.stage import merged

warm_up()
counted, copied = make_stage(counting, "popularity"), make_stage(copying, "index")

def night(home, fault):
    lake = Lake(str(home / "lake"), home / "scratch")
    lake.sweep()
    steps = [step := merged(map(counted, ["2026-03-01", "2026-03-02", "2026-03-03"]))]
    steps.append(copied("2026-03-03", popularity=step.by_date["2026-03-03"]))
    os.environ["NIGHTJAR_FAULT"] = fault
    for step in steps:
        Night(lake, home, Machine(ResourcesConfig())).execute(step)
    return {r.folder: lake.find(r).content_digest for s in steps for c in s.cells for r in c.refs}

def forked(home, fault):
    # A process that is killed; starting an interpreter for each would take its imports anew.
    pid = os.fork()
    if pid == 0:
        night(home, fault)
        os._exit(0)
    return os.waitpid(pid, 0)[1]

told, whole = {}, night(home / "whole", "")
for fault in sys.argv[3:]:
    end, mine = forked(home / fault, fault), night(home / fault, "")
    told[fault] = [end, mine == whole, [p.name for p in (home / fault / "lake/.staging").iterdir()]]
print(json.dumps(told))
"""


def test_a_stage_killed_at_any_of_its_steps_is_made_by_the_next_run(tmp_path):
    """Every stage goes through these steps; whole nights are killed in `tests/flows/test_kills.py`."""
    places = [f"counting:{place}" for place in ("begin", "progress", "computed", "audited", "published")]
    places += [f"copying:{place}" for place in ("begin", "computed", "audited", "published")]
    root = Path(__file__).resolve().parents[3]
    (tmp_path / "kills.py").write_text(KILLS)
    command = [sys.executable, tmp_path / "kills.py", root, tmp_path, *places]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {place: [signal.SIGKILL, True, []] for place in places}
