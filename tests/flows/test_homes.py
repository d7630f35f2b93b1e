"""A home is its folder: a copy works on its own lake and registry, a moved one on what came along.

Homes here are copies of the shared finished night, as its code makes them and as earlier code did.
"""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from tests.homes import Home

pytestmark = pytest.mark.slow


def tree(folder: Path) -> dict[str, str]:
    """Digest of every file."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def made_by_earlier_code(home: Path, at: Path) -> None:
    """Tell of places as earlier code did, which wrote whole paths; `at` is where it ran."""
    (home / "home.json").unlink()
    for path in home.glob("runs/*/run.json"):
        record = json.loads(path.read_text())
        record["lake"] = str(at / record["lake"])
        record["release"] |= {name: str(at / record["release"][name]) for name in ("report", "data_docs")}
        path.write_text(json.dumps(record))


@pytest.fixture
def original(golden, make_home) -> Home:
    """The finished night in a home of its own, with an artifact that nothing needs."""
    home = make_home()
    shutil.copytree(golden.path / "home", home.path / "home", dirs_exist_ok=True, ignore=shutil.ignore_patterns("tmp"))
    assert home.ask("history").returncode == 0
    users, *_ = (home.path / "home/lake/users").glob("date=*/*")
    shutil.copytree(users, users.with_name("f" * 32))
    return home


def garbage(home: Home) -> bool:
    return any((home.path / "home/lake/users").glob(f"date=*/{'f' * 32}"))


def works_on_its_own(home: Home) -> None:
    """Commands about what came along, and a deletion."""
    for command in (
        ("history",), ("explain",), ("quarantine", "list"), ("recommend", "--history", ""), ("home",),
        ("pull", "--to", str(home.path / "pulled")), ("show", "users"),
    ):  # fmt: skip
        done = home.ask(*command)
        assert done.returncode == 0, (command, done.stdout + done.stderr)
        if command[0] == "show":
            assert f"{home.path}/home/lake/users" in done.stdout.replace("\n", "")
    assert "- -> 1" in home.ask("history").stdout and (home.path / "pulled/manifest.json").is_file()
    done = home.ask("gc", "--keep-days", "0", "--delete", "--grace-hours", "0")
    assert done.returncode == 0 and not garbage(home), done.stdout + done.stderr


def a_further_night(home: Home) -> None:
    done = home.night("--set", "pipeline.k=8")
    assert done.returncode == 0 and "version 2" in done.stdout, done.stdout + done.stderr
    assert home.ran() <= {"bundle", "recommendations", "evaluation", "release", "report"}, "the rest came along"
    assert str(home.path / "home") not in (home.path / "home/runs" / home.record()["id"] / "run.json").read_text()
    done = home.ask("pull", "@candidate", "--to", str(home.path / "further"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("earlier", [False, True], ids=["today's", "earlier code's"])
def test_a_copy_is_a_home_of_its_own(original, make_home, earlier):
    copy = make_home()
    if earlier:
        made_by_earlier_code(original.path / "home", original.path / "home")
    shutil.copytree(original.path / "home", copy.path / "home")
    before = tree(original.path / "home")
    works_on_its_own(copy)
    if not earlier:
        a_further_night(copy)
    assert tree(original.path / "home") == before, "the other home is as it was, byte for byte"
    ids = {json.loads(home.ask("home", "--json").stdout)["id"] for home in (original, copy)}
    assert len(ids) == 2 and garbage(original)


@pytest.mark.parametrize("earlier", [False, True], ids=["today's", "earlier code's"])
def test_a_moved_home_has_all_that_it_had_and_leaves_nothing_behind(original, make_home, earlier):
    moved = make_home()
    known = json.loads(original.ask("home", "--json").stdout)["id"]
    if earlier:
        made_by_earlier_code(original.path / "home", original.path / "home")
    (original.path / "home").rename(moved.path / "home")
    works_on_its_own(moved)
    if earlier:
        a_further_night(moved)
    assert not (original.path / "home").exists(), "nothing is written where it was"
    if not earlier:
        assert json.loads(moved.ask("home", "--json").stdout)["id"] == known


def test_a_backup_restored_elsewhere_is_whole(original, make_home, tmp_path):
    import mlflow

    from tasks.registry.registry import Registry

    restored = make_home()
    archive = shutil.make_archive(str(tmp_path / "backup"), "tar", original.path / "home")
    shutil.rmtree(original.path / "home")
    shutil.unpack_archive(archive, restored.path / "home")
    works_on_its_own(restored)
    registry = Registry(restored.path / "home")
    mlflow.set_tracking_uri(registry.uri)
    mlflow.set_registry_uri(registry.uri)
    assert mlflow.pyfunc.load_model("models:/nightjar-recommender@champion")
    assert registry.client.list_artifacts(registry.find("1").run_id, "report")
    assert not (original.path / "home").exists()


def test_a_failed_run_elsewhere_leads_no_command_there(original, tmp_path):
    """Lake and registry are what the home says, whatever the last run was given."""
    other = {"lake": tmp_path / "other lake", "registry": f"sqlite:///{tmp_path}/other.db"}
    record = original.record() | {"id": "29990101T000000-aaaa", "state": "failed", "lake": str(other["lake"])}
    record |= {"registry": other["registry"], "release": {}, "refs": {}, "planned": []}
    path = original.path / "home/runs/29990101T000000-aaaa/run.json"
    path.parent.mkdir()
    path.write_text(json.dumps(record))
    assert "- -> 1" in original.ask("history").stdout
    done = original.ask("promote", "1", "--why", "again")
    assert done.returncode == 0 and "is the champion already" in done.stdout, done.stderr
    works_on_its_own(original)
    assert not other["lake"].exists() or not any(other["lake"].rglob("manifest.json"))


def test_a_registry_that_a_failed_run_was_given_does_not_stop_the_deletion(original):
    record = original.record() | {"id": "29990101T000000-aaaa", "state": "failed", "release": {}}
    path = original.path / "home/runs/29990101T000000-aaaa/run.json"
    path.parent.mkdir()
    path.write_text(json.dumps(record | {"registry": "http://127.0.0.1:9"}))
    done = original.ask("gc", MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
    assert done.returncode == 0, done.stderr
    released = json.loads(path.read_text()) | {"release": {"version": 1}}
    path.write_text(json.dumps(released))
    done = original.ask("gc", MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
    assert done.returncode == 1 and "does not answer" in done.stderr, "nobody knows what its versions need"


def test_the_home_says_which_lake_and_registry_its_commands_work_on(original, make_home):
    user, home = make_home(), original.path / "home"
    chosen = ("--lake", str(home / "lake"), "--registry", f"sqlite:///{home}/mlflow/mlflow.db")
    assert user.ask("show", "users").returncode == 2
    assert user.ask("home", *chosen).returncode == 0
    assert "- -> 1" in user.ask("history").stdout and user.ask("show", "users").returncode == 0
    assert user.ask("recommend", "--history", "").returncode == 0
    assert "no lake URL" in user.ask("home", "--lake", "nowhere://x").stderr
    assert user.ask("home", "--lake", "", "--registry", "").returncode == 0
    assert user.ask("show", "users").returncode == 2
    assert user.ask("show", "users", *chosen[:2]).returncode == 0, "an option counts for its command"


def test_a_copy_leaves_the_service_of_the_original_alone(original, make_home):
    from flows.service.state import Record, load_all
    from tasks.machine.processes import psutil

    this = psutil.Process()
    record = Record("prefect", this.pid, this.create_time(), 0, 4200, "http://127.0.0.1:9", ["none"], "x")
    record.save(original.path / "home")
    copy = make_home()
    shutil.copytree(original.path / "home", copy.path / "home")
    assert "nothing was up" in copy.ask("down").stdout
    assert [one.pid for one in load_all(original.path / "home")] == [this.pid] and this.is_running()
