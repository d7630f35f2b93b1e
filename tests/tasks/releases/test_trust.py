"""A release for which nobody vouches: nothing of it is taken and none of its code runs, whichever door it comes to."""

import importlib.util
import json
import py_compile
import re
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from expectations.errors import Failure, UserError
from explorer.data import Store
from flows.registry import open_release
from models.runtime import Bundle
from models.serving import export
from tasks.engine.lake import Lake
from tasks.registry.ledger import Ledger
from tasks.registry.registry import MODEL, Registry, Version
from tasks.registry.release_layout import MANIFEST_TAG
from tasks.registry.signing import SIGNATURE_TAG, Keys, is_signed, public_key
from tasks.releases import pulling
from tasks.releases.champion_lists import champion_lists
from tasks.releases.comparing import compare_versions
from tasks.releases.new_items import add_items
from tasks.releases.pulling import pull
from tasks.releases.trust import made_from
from tests.homes import Home
from tests.tasks.released import ROOT, make_release, register


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_release(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def taking(tmp_path_factory, made):
    """A release whole in itself, whose code leaves a mark when it runs, and the mark."""
    folder = shutil.copytree(made, tmp_path_factory.mktemp("taking") / "bundle")
    mark, code = folder.parent / "ran", folder / "bundle/__init__.py"
    code.write_text(code.read_text() + f"\nfrom pathlib import Path\nPath({str(mark)!r}).touch()\n")
    export.write_manifest(folder, export.facts_of(json.loads((folder / "manifest.json").read_text())))
    return folder, mark


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return Home(tmp_path)


@pytest.fixture
def registry(home):
    return Registry(home.path / "home")


def without(registry, version, tag):
    registry.client.delete_model_version_tag(MODEL, str(version.number), tag)
    return registry.find(str(version.number))


NOBODY = r"nobody vouches for version 2: it lacks the tag nightjar\.manifest"


@pytest.fixture
def planted(registry, made, taking):
    """A good version, and a second one that somebody has put there and moved the aliases to."""
    register(registry, made)
    Ledger(registry).move(1, "the first")
    version = without(registry, register(registry, taking[0], "2026-03-02"), MANIFEST_TAG)
    registry.point("champion", 2)
    return version


def _doors(registry, planted, scratch):
    nothing, users = pa.table({"external_id": pa.array([], pa.string())}), pa.array([0, 1]).to_numpy()
    first = registry.find("1")
    pull(registry, first, scratch / "first")
    ids = Bundle(scratch / "first").id_map
    lake = Lake(str(scratch / "lake"), scratch)
    store = Store(registry.home)
    return {
        "pull": lambda: pull(registry, planted, scratch / "to"),
        "a part": lambda: pull(registry, planted, scratch / "to", ["recommendations"]),
        "recommend and similar": lambda: open_release(registry, planted),
        "gates": lambda: champion_lists(registry, 2, ids, users, 5, 5, scratch),
        "compare": lambda: compare_versions(registry, lake, first, planted, scratch),
        "compare, the other way": lambda: compare_versions(registry, lake, planted, first, scratch),
        "index add": lambda: add_items(registry, planted, nothing, ["i1"], scratch),
        "explorer": lambda: store.release(2),
    }


def test_no_door_opens_for_a_version_without_its_proof(registry, planted, taking, tmp_path, monkeypatch):
    monkeypatch.setenv("NIGHTJAR_REGISTRY", registry.uri)
    for name, door in _doors(registry, planted, tmp_path / "scratch").items():
        with pytest.raises(Failure, match=NOBODY):
            door()
        assert not taking[1].exists(), f"{name}: its code ran"
    assert not (tmp_path / "scratch/to").exists()
    assert len(registry.versions()) == 2, "nothing was made of it"


@pytest.mark.parametrize("tag", ["", "0", "A" * 64, "0" * 63 + "\n", "0" * 64])
def test_a_tag_that_is_no_proof_is_none(registry, planted, taking, tmp_path, tag):
    registry.tag(2, MANIFEST_TAG, tag)
    with pytest.raises(Failure, match=r"nobody vouches for version 2|is not the one that was registered"):
        pull(registry, registry.find("2"), tmp_path / "to")
    assert not taking[1].exists() and not (tmp_path / "to").exists()


def test_commands_say_it_in_a_sentence_and_trust_takes_it(home, registry, planted, taking, tmp_path):
    for command in (("recommend", "--history", ""), ("similar", "i1")):
        done = home.ask(*command, "--release", "/2", "--registry", registry.uri)
        assert done.returncode == 1 and "nobody vouches for version 2" in done.stderr and not taking[1].exists()
    to = ("--to", str(tmp_path / "to"), "--registry", registry.uri)
    assert home.ask("pull", "/2", *to).returncode == 1 and not taking[1].exists()
    done = home.ask("pull", "/2", "--trust", *to)
    assert done.returncode == 0 and "nobody vouches for it: --trust" in done.stdout, done.stderr
    assert taking[1].exists()
    taking[1].unlink()


def test_the_champion_is_the_ledgers_wherever_somebody_has_put_the_alias(home, registry, planted, made, tmp_path):
    done = home.ask("pull", "--to", str(tmp_path / "to"), "--registry", registry.uri, "--json")
    assert json.loads(done.stdout)["version"]["number"] == 1
    nowhere = Registry(tmp_path / "other")
    register(nowhere, made)
    nowhere.point("champion", 1)
    done = home.ask("pull", "--to", str(tmp_path / "to"), "--registry", nowhere.uri)
    assert done.returncode == 1 and "the ledger knows of no champion, so nobody vouches for that" in done.stderr


def test_what_a_version_says_it_was_made_from_leads_nowhere_but_into_the_lake(tmp_path):
    lake = Lake(str(tmp_path / "lake"), tmp_path)
    for folder in ("../../etc", "evaluation", "bundle/date=2026-03-01/key", "evaluation/date=../..", "", "/etc/passwd"):
        assert made_from(lake, Version(1, "run", {"nightjar.evaluation": folder}), "evaluation") is None


# --- days ---------------------------------------------------------------------------------------------------------

NO_DAYS = "9999-12-31", "zzzz", "2026-13-01", "20260302", "2026-W10-1", "", " 2026-03-02"


@pytest.mark.parametrize("day", [*NO_DAYS, "tomorrow"])
def test_a_version_of_no_day_or_of_one_to_come_takes_no_alias(registry, day):
    registry.client.create_registered_model(MODEL)
    told = (datetime.now(UTC) + timedelta(days=3)).date().isoformat() if day == "tomorrow" else day
    for tags in ({"nightjar.date": "2026-03-01"}, {"nightjar.date": told}):
        registry.client.create_model_version(MODEL, source=str(registry.home), tags=tags)
        registry.follow("candidate")
    assert registry.aliases() == {"candidate": 1}
    with pytest.raises(Failure, match="takes no alias; champion stays"):
        Ledger(registry).move(2, "mine")
    assert registry.aliases() == {"candidate": 1} and registry.find("2").day == ""
    with pytest.raises(UserError, match="no version :"):
        registry.find(f":{told}")


def test_a_day_may_have_begun_somewhere(registry):
    """Just after midnight in the furthest east it is still two days before in the west."""
    created = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
    days = {day: Version(1, "run", {"nightjar.date": day}, created=created).day for day in ("2026-03-02", "2026-03-03")}
    assert days == {"2026-03-02": "2026-03-02", "2026-03-03": ""}


# --- folders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bundle/__init__.py", "items.parquet", "manifest.json"])
def test_a_folder_that_was_changed_is_refused_before_its_code_runs(home, registry, made, tmp_path, name):
    pull(registry, register(registry, made), to := tmp_path / "to")
    ask = ("recommend", "--history", "", "--release", str(to))
    assert home.ask(*ask).returncode == 0
    mark = tmp_path / "ran"
    (to / name).write_bytes((to / name).read_bytes() + b"\n")
    code = to / "bundle/release.py"
    code.write_text(f"open({str(mark)!r}, 'w')\n" + code.read_text())
    done = home.ask(*ask)
    assert done.returncode == 1 and "changed since it was pulled; fetch it again: nightjar pull --to" in done.stderr
    assert not mark.exists()
    pull(registry, registry.find("1"), to)
    assert home.ask(*ask).returncode == 0 and not mark.exists()


@pytest.mark.parametrize("name", ["bundle/release/__init__.py", "bundle/release.abi3.so", "bundle.py"])
def test_code_beside_that_of_a_release_is_refused_before_it_runs(home, registry, made, tmp_path, name):
    pull(registry, register(registry, made), to := tmp_path / "to")
    (to / name).parent.mkdir(exist_ok=True)
    (to / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    done = home.ask("recommend", "--history", "", "--release", str(to))
    assert done.returncode == 1 and "no file of the release" in done.stderr and not (tmp_path / "ran").exists()


def test_what_python_has_compiled_beside_the_code_is_not_run(home, registry, made, tmp_path):
    """It has no hash, and one that somebody put there looks like the code's own."""
    pull(registry, register(registry, made), to := tmp_path / "to")
    source, planted = to / "bundle/release.py", tmp_path / "release.py"
    planted.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    cached = Path(importlib.util.cache_from_source(str(source)))
    py_compile.compile(str(planted), str(cached), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    assert home.ask("recommend", "--history", "", "--release", str(to)).returncode == 0
    assert not (tmp_path / "ran").exists() and cached.exists()


def test_a_folder_that_no_pull_has_made_is_trusted_by_hand_only(home, made, tmp_path):
    to = shutil.copytree(made, tmp_path / "to")
    done = home.ask("recommend", "--history", "", "--release", str(to))
    assert done.returncode == 2 and "nobody vouches for" in done.stderr and "--trust" in done.stderr
    assert home.ask("recommend", "--history", "", "--release", str(to), "--trust").returncode == 0


def test_a_folder_of_an_earlier_pull_is_known_after_the_next(home, registry, made, tmp_path):
    pull(registry, version := register(registry, made), to := tmp_path / "to")
    record = json.loads((to / pulling.RECORD).read_text())
    (to / pulling.RECORD).write_text(json.dumps({k: v for k, v in record.items() if k not in ("manifest", "tags")}))
    assert home.ask("recommend", "--history", "", "--release", str(to)).returncode == 2
    assert not pull(registry, version, to).fetched
    assert home.ask("recommend", "--history", "", "--release", str(to)).returncode == 0


# --- signatures ---------------------------------------------------------------------------------------------------


def test_a_home_with_a_key_signs_and_whoever_pins_it_takes_nothing_else(home, registry, made, tmp_path):
    unsigned = register(registry, made, "2026-03-01")
    public = home.ask("key", "new").stdout.strip()
    assert home.ask("key").stdout.strip() == public == Keys(registry.home).public()
    assert stat.S_IMODE(Keys(registry.home).private_file.stat().st_mode) == 0o600
    registry.client.delete_model_version_tag(MODEL, "1", "nightjar.key")
    signed = register(registry, made, "2026-03-02")
    assert is_signed(MODEL, signed.tags, [public])
    to = ("--to", str(tmp_path / "to"), "--registry", registry.uri)
    assert "every hash checked, signed" in home.ask("pull", "/2", "--key", public, *to).stdout
    (tmp_path / "key.txt").write_text(public + "\n")
    assert home.ask("pull", "/2", "--key", str(tmp_path / "key.txt"), *to).returncode == 0
    other = Keys(tmp_path / "other").make()
    wrong = home.ask("pull", "/2", "--key", other, *to)
    assert wrong.returncode == 1 and "its signature is of another key" in wrong.stderr
    assert home.ask("pull", "/1", "--key", public, *to).returncode == 1
    assert home.ask("key", "pin", public).stdout.strip() == public
    with pytest.raises(Failure, match="version 1: it is not signed"):
        open_release(registry, unsigned)
    assert home.ask("recommend", "--history", "", "--release", str(tmp_path / "to")).returncode == 0
    Keys(registry.home).pin([other])
    assert home.ask("recommend", "--history", "", "--release", str(tmp_path / "to")).returncode == 2
    assert home.ask("key", "sign", "/1", "--registry", registry.uri).returncode == 0
    Keys(registry.home).pin([other, public])
    assert open_release(registry, registry.find("1"))


def test_a_consumer_without_this_project_can_check_it_as_the_page_says(registry, made, tmp_path):
    public = Keys(registry.home).make()
    pull(registry, register(registry, made), tmp_path / "models/current")
    page = (ROOT / "docs/pulling.md").read_text()
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "key.verify" in block]

    def checked():
        written = code.replace('"ed25519:..."', repr(public))
        command = [sys.executable, "-I", "-c", written]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = checked()
    assert done.returncode == 0, done.stderr
    (tmp_path / "models/current/bundle/release.py").write_text("")
    assert "AssertionError: bundle/release.py" in checked().stderr
    pull(registry, registry.versions()[0], tmp_path / "models/current")
    (tmp_path / "models/current/bundle/steps").mkdir()
    (tmp_path / "models/current/bundle/steps/__init__.py").touch()
    assert "code that is not of the release" in checked().stderr
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "models/current/manifest.json")
    assert "InvalidSignature" in checked().stderr


@pytest.mark.parametrize("changed", [MANIFEST_TAG, "nightjar.date", SIGNATURE_TAG])
def test_a_signature_is_of_the_manifest_the_name_and_the_day(tmp_path, changed):
    public = Keys(tmp_path).make()
    tags = {MANIFEST_TAG: "0" * 64, "nightjar.date": "2026-03-01"}
    tags |= Keys(tmp_path).signed(MODEL, tags)
    assert is_signed(MODEL, tags, [public]) and not is_signed("another", tags, [public])
    assert not is_signed(MODEL, {k: v for k, v in tags.items() if k != changed}, [public])
    other = "2" if tags[changed][0] == "1" else "1"
    assert not is_signed(MODEL, tags | {changed: other + tags[changed][1:]}, [public])
    assert not is_signed(MODEL, tags, [])


def test_the_alias_follows_signed_versions_only_where_a_key_is_pinned(registry, made):
    Keys(registry.home).pin([Keys(registry.home).make()])
    register(registry, made, "2026-03-01")
    registry.client.create_model_version(
        MODEL, source="x", tags={"nightjar.date": "2026-03-05", MANIFEST_TAG: "0" * 64}
    )
    registry.follow("candidate")
    assert registry.aliases() == {"candidate": 1}


def test_a_file_of_pinned_keys_that_lost_them_lets_nobody_in(tmp_path):
    keys = Keys(tmp_path)
    keys.pin([keys.make()])
    keys.pinned_file.write_text("")
    with pytest.raises(UserError, match="names no key"):
        keys.pinned()
    keys.pin([])
    assert keys.pinned() == ()


@pytest.mark.parametrize("text", ["", "nothing", "ed25519:", "ed25519:AAAA", "ed25519:!", "-----BEGIN PUBLIC KEY-"])
def test_what_is_no_public_key_is_refused(text):
    with pytest.raises(UserError, match="is no public key"):
        public_key(text)
