"""What `nightjar pull` promises: the release as it was made, or the target as it was, whatever happens on the way."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from fnmatch import fnmatchcase
from itertools import cycle
from pathlib import Path

import pytest

from expectations.errors import Failure, UserError
from models.runtime import Bundle
from models.serving import export
from tasks.registry.registry import Registry
from tasks.releases import pulling
from tasks.releases.pulling import PARTS, RECORD, pull
from tests.homes import Home
from tests.servers import free_port, serving, wait_for
from tests.tasks.released import (
    ROOT,
    Faulty,
    contents,
    make_release,
    register,
    replace,
    stored,
)  # fmt: skip

AUTH = "reader:secret of some length"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_release(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    return make_release(tmp_path_factory.mktemp("newer"), num_users=41, seed=1)


@pytest.fixture(scope="module")
def both(tmp_path_factory, made, newer):
    """A registry in a folder, with two versions."""
    registry = Registry(tmp_path_factory.mktemp("home"))
    return registry, register(registry, made), register(registry, newer, "2026-03-02")


@pytest.fixture
def one(tmp_path, made):
    """A registry of its own with one version, and its stored files: to be damaged."""
    registry = Registry(tmp_path / "home")
    version = register(registry, made)
    return registry, version, stored(tmp_path / "home" / "mlflow" / "artifacts")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(pulling, "WAITS_S", (0.05, 0.1))


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def moved(pulled):
    return pulled.fetched > 0


# --- what comes -----------------------------------------------------------------------------------------------------


def test_the_whole_release_comes_as_it_was_made_and_only_once(both, made, tmp_path):
    registry, version, _ = both
    told = []
    first = pull(registry, version, tmp_path / "at", on_progress=lambda *n: told.append(n))
    assert contents(tmp_path / "at") == contents(made)
    assert first.fetched > 0 and first.num_files == len(contents(made))
    assert told[-1] == (first.total, first.total) and first.total == sum(map(len, contents(made).values()))
    written = {p: p.stat().st_mtime_ns for p in (tmp_path / "at").rglob("*")}
    again = pull(registry, version, tmp_path / "at")
    assert not moved(again) and {p: p.stat().st_mtime_ns for p in (tmp_path / "at").rglob("*")} == written
    assert names(tmp_path) == ["at"], "nothing is left beside the target"


def test_another_version_replaces_it_and_shared_files_are_not_fetched_again(both, newer, tmp_path):
    registry, old, new = both
    pull(registry, old, tmp_path / "at")
    done = pull(registry, new, tmp_path / "at")
    assert contents(tmp_path / "at") == contents(newer)
    shared = [n for n in contents(newer) if n in ("pipeline.json", "ranker.json") or n.startswith("bundle/")]
    assert 0 < done.fetched <= done.total - sum(len(contents(newer)[n]) for n in shared)
    assert Bundle(tmp_path / "at").recommend([40]).table.num_rows


def test_the_command_offers_every_part():
    from flows.cli.pull import PARTS as offered

    assert set(offered) == set(PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_has_its_files_and_no_others(both, made, tmp_path, part):
    registry, version, _ = both
    done = pull(registry, version, tmp_path / part, [part])
    found, whole = contents(tmp_path / part), contents(made)
    assert all(whole[name] == data for name, data in found.items())
    if part == "all":
        assert len(found) == len(whole)
    else:
        own = {n for n in found if not any(fnmatchcase(n, p) for p in (*pulling.COMMON, "manifest.json"))}
        assert own and all(any(fnmatchcase(n, p) for p in PARTS[part]) for n in own)
    assert done.num_files == len(found)


def test_parts_of_one_version_gather_and_those_of_another_do_not(both, tmp_path):
    registry, old, new = both
    pull(registry, old, tmp_path / "at", ["index"])
    assert pull(registry, old, tmp_path / "at", ["towers"]).parts == ("index", "towers")
    assert pull(registry, new, tmp_path / "at", ["ranker"]).parts == ("ranker",)
    assert not (tmp_path / "at/index").exists() and (tmp_path / "at/ranker.onnx").exists()


def test_what_came_before_an_interruption_is_kept(both, tmp_path):
    registry, version, _ = both
    whole = pull(registry, version, tmp_path / "whole")
    side = tmp_path / ".at.pulling"
    shutil.copytree(tmp_path / "whole", side)
    (side / "users.parquet").write_bytes(b"half of it")
    (side / "stray").write_text("of another version")
    done = pull(registry, version, tmp_path / "at")
    assert done.fetched == (tmp_path / "whole/users.parquet").stat().st_size < whole.fetched
    assert contents(tmp_path / "at") == contents(tmp_path / "whole")


def test_without_an_exchange_in_one_step_it_takes_three(both, newer, tmp_path, monkeypatch):
    """As on file systems that cannot exchange two folders."""
    registry, old, new = both
    pull(registry, old, tmp_path / "at")
    monkeypatch.setattr(pulling.ctypes, "CDLL", lambda *a, **k: object())
    pull(registry, new, tmp_path / "at")
    assert contents(tmp_path / "at") == contents(newer) and names(tmp_path) == ["at"]


def test_an_exchange_in_three_steps_that_was_killed_is_undone_first(both, made, newer, tmp_path):
    registry, old, new = both
    pull(registry, old, tmp_path / "at")
    (tmp_path / "at").rename(tmp_path / ".at.before")
    with pytest.raises(UserError, match="no part"):
        pull(registry, new, tmp_path / "at", ["nothing"])
    assert contents(tmp_path / "at") == contents(made)
    shutil.copytree(tmp_path / "at", tmp_path / ".at.before")
    pull(registry, new, tmp_path / "at")
    assert contents(tmp_path / "at") == contents(newer) and names(tmp_path) == ["at"]


def test_what_somebody_put_beside_a_release_stays(both, newer, tmp_path):
    registry, old, new = both
    pull(registry, old, tmp_path / "at")
    (tmp_path / "at/notes").mkdir()
    (tmp_path / "at/notes/mine.txt").write_text("mine")
    pull(registry, new, tmp_path / "at")
    assert (tmp_path / "at/notes/mine.txt").read_text() == "mine"
    assert contents(tmp_path / "at").items() > contents(newer).items()


def test_links_and_empty_folders_beside_a_release_stay_too(both, tmp_path):
    registry, old, new = both
    pull(registry, old, tmp_path / "at")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "at/models").symlink_to("../elsewhere")
    (tmp_path / "at/later").symlink_to("not-there-yet")
    (tmp_path / "at/empty").mkdir()
    pull(registry, new, tmp_path / "at")
    assert (tmp_path / "at/models").readlink() == Path("../elsewhere") and (tmp_path / "at/models").is_dir()
    assert (tmp_path / "at/later").readlink() == Path("not-there-yet") and (tmp_path / "at/empty").is_dir()


def test_what_would_be_replaced_by_a_file_of_the_new_release_is_told_before_anything_is(both, newer, tmp_path):
    """A file of one's own whose name the next release happens to have: as a file, or as a folder."""
    registry, old, new = both
    pull(registry, old, tmp_path / "at")
    manifest = tmp_path / "at/manifest.json"
    written = json.loads(manifest.read_text())
    (name, _) = next((n, e) for n, e in written["files"].items() if "/" in n)
    del written["files"][name]  # as if the release before had not had it
    manifest.write_text(json.dumps(written))
    before = contents(tmp_path / "at")
    with pytest.raises(UserError, match="nothing was replaced"):
        pull(registry, new, tmp_path / "at")
    assert contents(tmp_path / "at") == before and (tmp_path / "at" / name).exists()


# --- what is refused --------------------------------------------------------------------------------------------------


DAMAGES = ("flipped", "missing", "truncated")


@pytest.mark.parametrize("damage", ["in turn", *(pytest.param(name, marks=pytest.mark.soak) for name in DAMAGES)])
def test_every_file_that_is_damaged_in_the_registry_is_refused_by_name(one, tmp_path, monkeypatch, damage):
    """Each in one of three ways; in every way at length."""
    registry, version, files = one
    monkeypatch.setattr(pulling, "WAITS_S", ())
    target = tmp_path / "at"
    pull(registry, version, target, ["ranker"])
    before = contents(target)
    for (name, path), turn in zip(files.items(), cycle(DAMAGES), strict=False):
        change = turn if damage == "in turn" else damage
        good = path.read_bytes()
        middle = len(good) // 2
        if change == "flipped":
            replace(path, good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :])
        elif change == "truncated":
            replace(path, good[:middle])
        else:
            path.unlink()
        # Into a fresh folder, for nothing of it may come from a good copy.
        with pytest.raises(Failure, match=re.escape(name)):
            pull(registry, version, tmp_path / "fresh")
        assert not (tmp_path / "fresh").exists()
        shutil.rmtree(tmp_path / ".fresh.pulling", ignore_errors=True)
        replace(path, good)
    assert contents(target) == before
    pull(registry, version, tmp_path / "fresh")


def test_a_manifest_that_is_consistent_but_not_the_registered_one_is_refused(one, newer, tmp_path):
    """Somebody puts another release's files into the store: every hash fits, and it is still not this version."""
    registry, version, files = one
    for path in newer.rglob("*"):
        if path.is_file():
            replace(files[path.relative_to(newer).as_posix()], path.read_bytes())
    with pytest.raises(Failure, match=r"manifest\.json of version 1 is not the one that was registered"):
        pull(registry, version, tmp_path / "at")


def test_a_manifest_that_names_a_file_outside_is_refused(tmp_path, made):
    odd = shutil.copytree(made, tmp_path / "bundle")
    known = json.loads((odd / "manifest.json").read_text())
    known["files"]["../../stray"] = {"bytes": 1, "sha256": "0" * 64}
    (odd / "manifest.json").write_text(json.dumps(known))
    registry = Registry(tmp_path / "home")
    with pytest.raises(Failure, match=r"names a file outside of it: \.\./\.\./stray"):
        pull(registry, register(registry, odd), tmp_path / "at")


@pytest.mark.parametrize("part", ["all", "index"])
@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"versions": {"faiss": "99.1.0"}}, r"index: written by faiss 99\.1\.0.*install faiss-cpu==99\.1\.0"),
        ({"tower_digest": "1" * 64}, "index: built from towers ffffffffffff, but the bundle has towers 111111111111"),
    ],
)
def test_what_does_not_fit_together_here_is_refused(tmp_path, made, part, facts, words):
    """Every hash fits; the release itself cannot be used."""
    odd = shutil.copytree(made, tmp_path / "bundle")
    known = json.loads((odd / "manifest.json").read_text()) | facts
    export.write_manifest(odd, export.facts_of(known))
    registry = Registry(tmp_path / "home")
    version = register(registry, odd)
    with pytest.raises(Failure, match=words):
        pull(registry, version, tmp_path / "at", [part])
    assert not (tmp_path / "at").exists()


def test_a_target_that_no_pull_has_made_is_left_alone(both, tmp_path):
    registry, version, _ = both
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="has files that no pull has put there"):
        pull(registry, version, tmp_path / "mine")
    assert (tmp_path / "mine/thesis.tex").read_text() == "years of work"
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        pull(registry, version, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    pull(registry, version, tmp_path / "empty", ["towers"])
    with pytest.raises(UserError, match="is a mount point"):
        pull(registry, version, Path("/"))
    with pytest.raises(UserError, match="no part 'tower'; parts: index, towers"):
        pull(registry, version, tmp_path / "new", ["tower"])


def test_a_damaged_target_is_mended_by_the_files_that_are_damaged(both, tmp_path):
    registry, version, _ = both
    pull(registry, version, tmp_path / "at")
    good = contents(tmp_path / "at")
    (tmp_path / "at/items.parquet").write_bytes(b"x")
    done = pull(registry, version, tmp_path / "at")
    assert done.fetched == len(good["items.parquet"]) and contents(tmp_path / "at") == good


@pytest.mark.parametrize(
    "text", ["", '{"version": 1, "par', "null", "[]", '{"version": "x", "registry": "", "parts": []}']
)
def test_a_damaged_record_of_a_pull_is_written_again(both, newer, tmp_path, capsys, text):
    registry, old, new = both
    pull(registry, old, tmp_path / "at")
    whole = (tmp_path / "at" / RECORD).read_bytes()
    (tmp_path / "at/mine.txt").write_text("mine")
    (tmp_path / "at" / RECORD).write_text(text)
    done = pull(registry, old, tmp_path / "at")
    assert not moved(done) and (tmp_path / "at" / RECORD).read_bytes() == whole
    assert capsys.readouterr().err.count(f"{RECORD} is damaged") == 1
    (tmp_path / "at/manifest.json").write_text(text)
    pull(registry, new, tmp_path / "at")
    assert contents(tmp_path / "at").items() >= contents(newer).items()
    assert (tmp_path / "at/mine.txt").read_text() == "mine"


def test_two_pulls_into_one_target(both, tmp_path):
    registry, version, _ = both
    with (
        pulling._side(tmp_path / "at"),
        pytest.raises(UserError, match=r"another pull into .*at is under way"),
    ):
        pull(registry, version, tmp_path / "at")
    pull(registry, version, tmp_path / "at")


# --- servers and S3 -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """MLflow's server, behind user and password, behind a proxy that can spoil what it says."""
    home, port = tmp_path_factory.mktemp("server"), free_port()
    command = ("flows.service.mlflow_server", str(port))
    with serving(home, *command, NIGHTJAR_HOME=str(home), NIGHTJAR_AUTH=AUTH), Faulty(port).running() as proxy:
        wait_for(f"http://127.0.0.1:{port}/health")
        yield proxy


@pytest.fixture
def credentials(monkeypatch):
    user, password = AUTH.split(":")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")


def test_from_a_server_with_authentication_and_faults(server, credentials, made, tmp_path):
    registry = Registry(tmp_path, f"http://127.0.0.1:{server.port}")
    version = register(registry, made)
    server.faults = {"users.parquet": ["500", "500"], "items.parquet": ["truncate"], "ranker.onnx": ["reset"]}
    done = pull(registry, version, tmp_path / "at")
    assert contents(tmp_path / "at") == contents(made) and moved(done)
    assert not any(server.faults.values()), "every fault was met"
    server.got.clear()
    assert not moved(pull(registry, version, tmp_path / "at"))
    assert not [p for p in server.got if "mlflow-artifacts" in p], "the second pull asks for no file"


def test_a_wrong_password_is_told(server, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "reader")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "guess")
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    done = Home(tmp_path).ask("pull", "--to", str(tmp_path / "at"), "--registry", f"http://127.0.0.1:{server.port}")
    assert done.returncode == 1 and "MLFLOW_TRACKING_PASSWORD" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "at").exists()


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """Moto's server, which speaks the S3 protocol, behind the same proxy."""
    port = free_port()
    with serving(tmp_path_factory.mktemp("moto"), "moto.server", "-H", "127.0.0.1", "-p", str(port)):
        wait_for(f"http://127.0.0.1:{port}/")
        with Faulty(port).running() as proxy:
            yield proxy


@pytest.fixture
def in_s3(s3, made, tmp_path, monkeypatch):
    """A registry whose artifacts are in a bucket."""
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://127.0.0.1:{s3.port}")
    bucket = tmp_path.name.replace("_", "-").lower()
    boto3.client("s3", endpoint_url=f"http://127.0.0.1:{s3.port}").create_bucket(Bucket=bucket)
    own = Registry(tmp_path / "home")
    own.make_database()
    registry = Registry(tmp_path / "home", own.uri)
    registry.client.create_experiment("nightjar", artifact_location=f"s3://{bucket}/artifacts")
    return registry, register(registry, made)


def test_from_s3_with_faults(in_s3, s3, made, tmp_path):
    registry, version = in_s3
    s3.faults = {"users.parquet": ["500"], "items.parquet": ["truncate", "truncate"], "ranker.onnx": ["reset"]}
    pull(registry, version, tmp_path / "at")
    assert contents(tmp_path / "at") == contents(made) and not any(s3.faults.values())


def test_a_store_that_stays_broken_loses_nothing(in_s3, s3, made, tmp_path):
    registry, version = in_s3
    s3.faults = {"items.parquet": ["always", "truncate"]}
    with pytest.raises(Failure, match=r"items\.parquet: .*the same command continues"):
        pull(registry, version, tmp_path / "at")
    assert not (tmp_path / "at").exists()
    s3.faults = {}
    s3.got.clear()
    pull(registry, version, tmp_path / "at")
    objects = {p.split("?")[0].rsplit("/artifacts/bundle/", 1)[-1] for p in s3.got if "/artifacts/bundle/" in p}
    assert "items.parquet" in objects and len(objects) < len(contents(made)) / 2, "the rest was kept"
    assert contents(tmp_path / "at") == contents(made)


# --- kills ------------------------------------------------------------------------------------------------------------


def command(registry, reference, target, home, **environment):
    """`nightjar pull` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "flows", "pull", reference, "--to", str(target), "--registry", registry.uri, "--json"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "NIGHTJAR_HOME": str(home), **environment},
    )  # fmt: skip


def usable(target, made, newer):
    """Whichever release is there, it is there whole."""
    return contents(target) in (contents(made), contents(newer)) and Bundle(target).recommend([1]).table.num_rows


@pytest.mark.parametrize("fault", ["pull:progress", "pull:checked", "pull:swapped"])
def test_a_kill_leaves_the_target_usable(both, made, newer, tmp_path, fault):
    registry, old, new = both
    pull(registry, old, tmp_path / "at")
    killed = command(registry, f"/{new.number}", tmp_path / "at", tmp_path / "home", NIGHTJAR_FAULT=fault)
    assert killed.wait(400) == -signal.SIGKILL
    assert usable(tmp_path / "at", made, newer)
    options = ("--to", str(tmp_path / "at"), "--registry", registry.uri, "--json")
    again = Home(tmp_path).ask("pull", f"/{new.number}", *options)
    assert again.returncode == 0 and json.loads(again.stdout)["version"]["number"] == new.number, again.stderr
    assert contents(tmp_path / "at") == contents(newer)
    assert not (tmp_path / ".at.pulling").exists()


@pytest.mark.parametrize("kills", [2, pytest.param(12, marks=pytest.mark.soak)])
def test_kills_at_random_moments(both, made, newer, tmp_path, chance, kills):
    registry, old, new = both
    target = tmp_path / "at"
    pull(registry, old, target)
    for attempt in range(kills):
        reference = f"/{(new, old)[attempt % 2].number}"
        running = command(registry, reference, target, tmp_path / "home")
        time.sleep(chance.uniform(1.0, 4.0))
        running.kill()
        running.communicate()
        assert usable(target, made, newer)
    pull(registry, new, target)
    assert contents(target) == contents(newer)
