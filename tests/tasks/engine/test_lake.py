"""The lake on a local folder and on a real S3 API on loopback: the same promises."""

import subprocess
import sys
import time

import pytest

from expectations.errors import UserError
from expectations.files import write_json
from tasks.engine.admission import Machine
from tasks.engine.content_digest import file_sha256
from tasks.engine.lake import MANIFEST, Lake, Ref
from tasks.engine.running import Night
from tasks.machine.config import ResourcesConfig
from tasks.machine.processes import owner_tag

DAY = "2026-03-01"


def test_what_is_published_is_found_by_everybody(lake, stages, tmp_path):
    step = stages[0](DAY)
    Night(lake, tmp_path, Machine(ResourcesConfig())).execute(step)
    elsewhere = Lake(lake.url, tmp_path / "other-machine")
    found = elsewhere.find(step.made.ref)
    assert found and found.table().num_rows == 3 and found.notes == {"scale": 1}
    assert elsewhere.refs("popularity") == [step.made.ref] and elsewhere.dates("popularity") == [DAY]


def test_what_nobody_published_is_missing(lake):
    ref = Ref("popularity", DAY, "0" * 32)
    assert lake.find(ref) is None and lake.condition(ref) == "missing" and not lake.stands(ref)


def test_what_is_removed_is_gone_for_everybody(lake, stages, tmp_path):
    step = stages[0](DAY)
    Night(lake, tmp_path, Machine(ResourcesConfig())).execute(step)
    lake.remove(step.made.ref)
    assert lake.find(step.made.ref) is None
    assert Lake(lake.url, tmp_path / "other").find(step.made.ref) is None


def test_pointers_move_forward_only(lake):
    older, newer = Ref("popularity", "2026-03-01", "a"), Ref("popularity", "2026-03-02", "b")
    assert lake.current("popularity") is None
    for ref in (newer, older):
        lake.point(ref)
    assert lake.current("popularity") == newer
    corrected = Ref("popularity", "2026-03-02", "c")
    lake.point(corrected)
    assert lake.current("popularity") == corrected


def test_the_first_to_publish_wins(lake):
    ref = Ref("index", DAY, "k")
    for text in ("first", "second"):
        folder = lake.aside() / "index"
        folder.mkdir()
        (folder / "f").write_text(text)
        files = {"f": {"bytes": len(text), "sha256": file_sha256(folder / "f")}}
        write_json(folder / MANIFEST, {"files": files})
        lake.publish(ref, folder)
    assert (lake.local(ref) / "f").read_text() == "first"
    found = Lake(lake.url, lake.scratch / "other").find(ref)
    assert found and (found.path / "f").read_text() == "first"


def test_a_sweep_takes_what_dead_runs_left_and_nothing_of_living_ones(tmp_path):
    lake = Lake(str(tmp_path / "lake"), tmp_path)
    mine = lake.aside()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = lake.root / ".staging" / f"{dead.pid}.{int(time.time())}-abc"
    left.mkdir()
    assert lake.sweep() == 1
    assert mine.exists() and not left.exists() and mine.name.startswith(owner_tag())


@pytest.mark.parametrize("url", ["gopher://x", "s3://"])
def test_an_impossible_url_is_refused(url, tmp_path):
    with pytest.raises(UserError, match="lake"):
        Lake(url, tmp_path).find(Ref("index", DAY, "k"))


def test_json_is_written_whole_or_not_at_all(tmp_path):
    write_json(tmp_path / "a" / "x.json", {"n": 1})
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["x.json"]
