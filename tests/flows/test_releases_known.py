"""A release is what its digest says, in whichever registry: numbers are looked up where they are asked for.

Nights here are finished ones whose every stage stands, so that each is a cached one from its first moment.
"""

import json
import shutil
from pathlib import Path

import pytest

from expectations.errors import Failure
from tasks.engine.lake import Artifact, Lake
from tasks.registry.ledger import LEDGER, Ledger
from tasks.registry.registry import MODEL, Registry
from tasks.stages.release import version_in
from tests.homes import Home

pytestmark = pytest.mark.slow


@pytest.fixture
def night(golden, make_home, prefect) -> Home:
    """The finished night in a home of its own."""
    home = make_home(prefect=prefect)
    shutil.copytree(golden.path / "home", home.path / "home", dirs_exist_ok=True, ignore=shutil.ignore_patterns("tmp"))
    return home


def again(home: Home, *options: str) -> str:
    """The same night, of which everything is cached; gives what it says."""
    done = home.night(*options)
    assert done.returncode == 0 and home.ran() == set(), done.stdout + done.stderr
    return done.stdout


def release_of(home: Home) -> str:
    """The digest of the release, by the lake alone."""
    (path,) = (home.path / "home/lake/release").glob("date=*/*/release.json")
    return str(json.loads(path.read_text())["manifest"])


def is_whole(home: Home, reference: str, registry: str = "") -> bool:
    """Whether a version is there with its files, report and description."""
    chosen = ("--registry", registry) if registry else ()
    done = home.ask("pull", reference, "--to", str(home.path / "pulled"), *chosen)
    at = Registry(home.path / "home", registry)
    version = at.find(reference)
    reports = [f.path for f in at.client.list_artifacts(version.run_id, "report")]
    described = at.client.get_model_version(MODEL, str(version.number)).description
    return done.returncode == 0 and "report/report.html" in reports and "NDCG" in described


def test_nothing_in_a_lake_tells_of_a_number_or_a_registry(night):
    for path in (night.path / "home/lake/release").rglob("*.json"):
        text = path.read_text()
        assert "mlflow.db" not in text and "run_id" not in text and '"version"' not in text, path


def test_a_registry_that_was_emptied_gets_the_release_again(night):
    shutil.rmtree(night.path / "home/mlflow")
    said = again(night)
    assert "version 1" in said and "it is the champion now" in said
    registry = Registry(night.path / "home")
    (version,) = registry.versions()
    assert version.digest == release_of(night) and set(version.aliases) == {"candidate", "champion"}
    assert is_whole(night, "@champion") and "- -> 1" in night.ask("history").stdout


def test_two_registries_on_one_lake_know_the_release_each_by_its_own_number(night, make_home, prefect):
    other, lake = make_home(prefect=prefect), str(night.path / "home/lake")
    registry = Registry(other.path / "home")
    registry.client.create_registered_model(MODEL)
    for number in (1, 2):  # other releases have the first numbers here
        registry.client.create_model_version(MODEL, f"file:{other.path}/{number}", tags={"nightjar.date": "2026-01-01"})
    done = other.night("--lake", lake)
    assert done.returncode == 0 and other.ran() == set(), done.stdout + done.stderr
    assert "version 3" in done.stdout and f"nightjar home --lake {lake}" in done.stdout
    assert Ledger(registry).entries()[-1].to == 3 and registry.find("@champion").digest == release_of(night)
    assert is_whole(other, "3")
    said = again(night)
    assert "version 1" in said and night.record()["release"]["version"] == 1
    assert len(Registry(night.path / "home").versions()) == 1 and len(registry.versions()) == 3
    assert night.record()["release"]["digest"] == other.record()["release"]["digest"] == release_of(night)


def test_one_home_with_two_registries_asks_each_for_its_own(night):
    url = f"sqlite:///{night.path}/other.db"
    said = again(night, "--set", f"resources.registry={url}")
    assert f"nightjar home --registry {url}" in said and "it is the champion now" in said
    assert is_whole(night, "@champion", url)
    (files,) = Registry(night.path / "home", url).artifacts.glob("models/*")
    assert files.is_relative_to(night.path), "beside the database, whichever folder the command was called in"
    assert "- -> 1" in night.ask("history", "--registry", url).stdout
    assert night.ask("recommend", "--history", "", "--registry", url).returncode == 0
    copies = {p.name for p in (night.path / "home/releases").iterdir() if not p.name.startswith(".")}
    assert copies == {release_of(night)[:16]}


@pytest.mark.parametrize("also", ["nothing else", "the model", "the digests of an earlier ledger"])
def test_a_champion_that_was_deleted_is_said_to_be_gone_and_comes_back_with_its_night(night, also):
    registry = Registry(night.path / "home")
    if also == "the model":
        registry.client.delete_registered_model(MODEL)
    else:
        registry.client.delete_model_version(MODEL, "1")
    if also == "the digests of an earlier ledger":
        registry.client.delete_model_version_tag(LEDGER, "1", "release")
    done = night.ask("history")
    assert done.returncode == 0 and "(the version is gone)" in done.stdout, done.stdout + done.stderr
    assert json.loads(night.ask("history", "--json").stdout)[0]["now"] == 0
    done = night.ask("rollback", "--why", "it is gone")
    assert done.returncode == 2 and "no champion before this one" in done.stderr
    said = again(night)
    number = 1 if also == "the model" else 2
    assert f"version {number}" in said and "it is the champion now" in said
    assert registry.aliases() == {"candidate": number, "champion": number}
    entries = Ledger(registry).entries()
    assert len(entries) == (2 if also == "the digests of an earlier ledger" else 1), "the release is the same"
    assert is_whole(night, "@champion")
    if also == "nothing else":
        assert "(now version 2)" in night.ask("history").stdout


def test_promote_and_rollback_go_on_over_a_version_that_is_gone(night):
    registry = Registry(night.path / "home")
    source = registry.client.get_model_version(MODEL, "1").source
    for day in ("2026-01-10", "2026-01-11", "2026-01-13"):
        registry.client.create_model_version(MODEL, source, tags={"nightjar.date": day, "nightjar.manifest": day})
    for number in (2, 3):
        assert night.ask("promote", str(number), "--why", "better").returncode == 0
    registry.client.delete_model_version(MODEL, "2")
    done = night.ask("rollback", "--why", "empty rows")
    assert done.returncode == 0 and "champion is version 1 (was 3)" in done.stdout, done.stdout + done.stderr
    assert night.ask("promote", "3", "--why", "again").returncode == 0
    registry.client.delete_model_version(MODEL, "3")
    done = night.ask("promote", "4", "--why", "what is left")
    assert done.returncode == 0 and "champion is version 4" in done.stdout, done.stdout + done.stderr
    assert registry.aliases()["champion"] == 4
    done = night.ask("rollback", "--why", "the one before is gone too")
    assert done.returncode == 0 and "champion is version 1 (was 4)" in done.stdout, done.stdout + done.stderr
    assert night.ask("history").stdout.count("(the version is gone)") == 3


def test_the_explorer_finds_the_run_of_a_release_in_whichever_registry(night, monkeypatch):
    from explorer.data import Store

    home: Path = night.path / "home"
    monkeypatch.setenv("NIGHTJAR_HOME", str(home))
    shutil.rmtree(home / "mlflow")
    registry = Registry(home)
    registry.client.create_registered_model(MODEL)
    registry.client.create_model_version(MODEL, f"file:{home}", tags={"nightjar.date": "2026-01-01"})
    again(night)
    store = Store(home)
    other, own = store.versions()[::-1]
    assert str(night.config) in store.command(own, ()) and str(night.config) not in store.command(other, ())


def test_what_the_lake_no_longer_has_is_not_registered_under_its_digest(golden, tmp_path):
    """A bundle that was damaged and made again, of which some bytes differ, is another release."""
    lake = Lake(str(golden.path / "home/lake"), tmp_path)
    release, bundle, recommendations = (
        lake.find(lake.refs(name)[-1]) for name in ("release", "bundle", "recommendations")
    )
    assert release and bundle and recommendations
    other = Artifact(release.ref, tmp_path / "release")
    shutil.copytree(release.path, other.path)
    facts = json.loads((other.path / "release.json").read_text())
    (other.path / "release.json").write_text(json.dumps(facts | {"manifest": "0" * 64}))
    registry = Registry(tmp_path / "home")
    with pytest.raises(Failure, match=r"not what was released then.*--force release"):
        version_in(registry, other, bundle, recommendations, "candidate", tmp_path / "scratch")
    assert registry.versions() == []
