"""Laws of every stage: the same key is made once, the order of days does not matter, publishing is atomic."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from expectations.errors import Failure
from tasks.engine.admission import Admission, Machine
from tasks.engine.explain import explain
from tasks.engine.lake import DIGEST, MANIFEST, Lake
from tasks.engine.quarantine import find, quarantined, release
from tasks.engine.running import Night
from tasks.engine.stage import Stage, merged
from tasks.machine.config import ResourcesConfig
from tests.lakes import edit, edit_file

DAYS = ["2026-03-01", "2026-03-02", "2026-03-03"]
PART = "part-00000.parquet"


@pytest.fixture
def anywhere(lake, tmp_path) -> Night:
    """A night on a lake in a folder, and one on a lake in an object store."""
    return Night(lake, tmp_path / "home", Machine(ResourcesConfig()))


def test_the_same_key_twice_is_cached(anywhere, stages, calls):
    step = stages[0](DAYS[0])
    first, second = anywhere.execute(step), anywhere.execute(step)
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


def test_only_the_missing_days_run(anywhere, stages, calls):
    anywhere.execute(stages[0](DAYS[1]))
    outcome = anywhere.execute(merged(map(stages[0], DAYS)))
    assert (outcome.ran, outcome.cells) == (2, 3)
    assert calls == [f"counting {d}" for d in (DAYS[1], DAYS[0], DAYS[2])]


def _rows(data: bytes) -> bytes:
    return json.dumps({**json.loads(data), "rows": 7}).encode()


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes | None]]] = {
    "a bit": (PART, lambda data: data[:99] + bytes([data[99] ^ 1]) + data[100:]),
    "file cut short": (PART, lambda data: data[:-10]),
    "file deleted": (PART, lambda data: None),
    "manifest deleted": (MANIFEST, lambda data: None),
    "manifest cut short": (MANIFEST, lambda data: data[:-10]),
    "manifest empty": (MANIFEST, lambda data: b""),
    "manifest of another shape": (MANIFEST, lambda data: b'{"files": ["part-00000.parquet"]}'),
    "manifest edited by hand": (MANIFEST, _rows),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_and_deleted_artifacts_are_rebuilt(anywhere, stages, calls, damage, tmp_path):
    """As another machine finds them: the one that made them has a copy of what an object store holds."""
    step = stages[0](DAYS[0])
    anywhere.execute(step)
    made = anywhere.lake.find(step.made.ref)
    assert made
    edit(anywhere.lake, step.made.ref, *DAMAGE[damage])
    lake = Lake(anywhere.lake.url, tmp_path / "other")
    assert lake.find(step.made.ref) is None and (lake.manifest(step.made.ref) is None) == ("manifest" in damage)
    assert {e.verdict for e in explain(lake, step)} == {"run"}
    assert Night(lake, anywhere.home, anywhere.machine).execute(step).state == "ran"
    assert lake.manifest(step.made.ref) == made.manifest and len(calls) == 2


def test_a_manifest_of_an_earlier_version_has_no_digest_and_is_believed(anywhere, stages, calls):
    step = stages[0](DAYS[0])
    anywhere.execute(step)
    undigested = lambda data: json.dumps({n: v for n, v in json.loads(data).items() if n != DIGEST}).encode()  # noqa: E731
    edit(anywhere.lake, step.made.ref, MANIFEST, undigested)
    assert anywhere.execute(step).state == "cached" and len(calls) == 1


@pytest.mark.parametrize("lake", ["s3"], indirect=True)
def test_a_damaged_copy_of_what_a_store_has_whole_is_fetched_anew(lake, stages, calls, tmp_path):
    night, step = Night(lake, tmp_path, Machine(ResourcesConfig())), stages[0](DAYS[0])
    night.execute(step)
    for name in (PART, MANIFEST):
        (lake.local(step.made.ref) / name).write_bytes(b"damaged")
        assert Night(lake, tmp_path, Machine(ResourcesConfig())).execute(step).state == "cached"
    assert len(calls) == 1


def test_another_machine_reads_what_was_made_anew(anywhere, stages, tmp_path):
    """Its copy is compared with what the store has."""
    step = stages[0](DAYS[0])
    anywhere.execute(step)
    other = Lake(anywhere.lake.url, tmp_path / "other")
    assert other.find(step.made.ref)
    edit(anywhere.lake, step.made.ref, MANIFEST, lambda data: json.dumps(json.loads(data), indent=3).encode())
    assert other.find(step.made.ref)
    assert (other.local(step.made.ref) / MANIFEST).read_text().startswith("{\n   ")


def test_what_an_interrupted_upload_left_is_no_part_of_what_comes_after(anywhere, stages, tmp_path):
    step = stages[0](DAYS[0])
    left = f"{step.made.ref.folder}/part-00009.parquet"
    if anywhere.lake.is_local:
        (anywhere.lake.root / left).parent.mkdir(parents=True)
    edit_file(anywhere.lake, left, lambda data: b"left over")
    anywhere.execute(step)
    found = Lake(anywhere.lake.url, tmp_path / "other").find(step.made.ref)
    assert found and [path.name for path in found.files] == [PART] and found.table().num_rows == 3


def test_a_failing_audit_goes_to_quarantine_and_nothing_is_lost(anywhere, stages):
    good, bad = stages[0](DAYS[0]), stages[0](DAYS[1], rows=-3)
    with pytest.raises(Failure, match=r"popularity.*rank") as error:
        anywhere.execute(bad)
    assert anywhere.lake.find(bad.made.ref) is None
    (entry,) = quarantined(anywhere.lake)
    assert entry.id in str(error.value) and (entry.path / "popularity" / "part-00000.parquet").exists()
    assert entry.report["findings"][0]["unexpected_count"] == 3
    assert anywhere.execute(good).state == "ran"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"findings": [3]}'])
def test_quarantine_without_a_readable_report_is_listed(night, stages, text):
    with pytest.raises(Failure):
        night.execute(stages[0](DAYS[1], rows=-3))
    (entry,) = quarantined(night.lake)
    (entry.path / "report.json").write_text(text)
    assert quarantined(night.lake) == [entry]
    assert entry.report["findings"] == [{"message": "report.json is damaged"}]


def test_good_days_are_published_although_another_fails(anywhere, stages):
    step = merged(stages[0](day, rows=-3 if day == DAYS[1] else 3) for day in DAYS)
    with pytest.raises(Failure):
        anywhere.execute(step)
    assert [anywhere.lake.find(r) is not None for r in step.refs("popularity")] == [True, False, True]


def test_what_is_released_from_quarantine_stands_with_its_reason(anywhere, stages):
    step = stages[0](DAYS[0], rows=-3)
    with pytest.raises(Failure):
        anywhere.execute(step)
    release(anywhere.lake, find(anywhere.lake, "counting-2026"), "the source says so")
    assert anywhere.execute(step).state == "cached"
    manifest = anywhere.lake.find(step.made.ref).manifest
    assert manifest["audit"]["released_because"] == "the source says so" and not quarantined(anywhere.lake)


def test_nothing_stays_aside(anywhere, stages):
    anywhere.execute(merged(map(stages[0], DAYS)))
    assert list((anywhere.lake.root / ".staging").iterdir()) == []


def test_a_forced_stage_runs_again_and_replaces(anywhere, stages, calls):
    step = stages[0](DAYS[0])
    anywhere.execute(step)
    forced = Night(anywhere.lake, anywhere.home, anywhere.machine, force=frozenset({"counting"}))
    assert forced.execute(step).state == "ran"
    assert forced.execute(step).state == "cached"
    assert len(calls) == 2


def test_two_runs_at_once_make_it_once(lake, tmp_path):
    root = Path(__file__).resolve().parents[3]
    (tmp_path / "race.py").write_text(
        "import sys, time; from pathlib import Path\n"
        f"sys.path[:0] = [{str(root)!r}, {str(root / 'tests' / 'tasks')!r}]\n"
        "from conftest import make_stage, counting\n"
        "from tasks.engine.running import Night; from tasks.engine.lake import Lake\n"
        "from tasks.engine.admission import Machine; from tasks.machine.config import ResourcesConfig\n"
        "def slowly(out):\n    time.sleep(2)\n    counting(out)\n"
        f"home = Path({str(tmp_path)!r})\n"
        "night = Night(Lake(sys.argv[1], home / sys.argv[2]), home, Machine(ResourcesConfig()))\n"
        f"print(night.execute(make_stage(slowly, 'popularity')({DAYS[0]!r})).state)\n"
    )
    runs = [
        subprocess.Popen([sys.executable, tmp_path / "race.py", lake.url, name], stdout=subprocess.PIPE, text=True)
        for name in ("one", "other")
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
