"""One damaged file of a home ends no command that lists or sums up others: it is named, and they are told."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from expectations.errors import UserError
from expectations.files import write_json
from flows.__main__ import cli
from flows.backfilling.request import BackfillRequest
from flows.backfilling.state import Backfill, all_backfills
from flows.cli.status import look
from flows.grid.state import Sweep, all_sweeps
from flows.night.lakes import open_lake
from flows.night.records import RunRecord, all_runs, last_run, new_id
from flows.service import notifications, registration
from flows.service.service import down
from flows.service.settings import Settings, load_settings
from flows.service.state import Record, load, load_all

BAD = {
    "empty": lambda text: "",
    "cut short": lambda text: text[: len(text) // 2],
    "zeros": lambda text: "\0" * len(text),
    "no JSON": lambda text: "<html>502</html>",
    "another shape": lambda text: '[{"name": "foreign"}]',
    "an object of others": lambda text: '{"id": 7, "state": ["running"]}',
}


@pytest.fixture(params=BAD)
def damage(request):
    def damage(path: Path) -> None:
        path.write_text(BAD[request.param](path.read_text()))

    return damage


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("NIGHTJAR_", "PREFECT_", "MLFLOW_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NIGHTJAR_HOME", str(tmp_path))
    return tmp_path


def runs(home: Path, *days: str) -> list[RunRecord]:
    made = [RunRecord(f"202601{n:02}T000000-aaaa", "", [], str(home / "lake"), day, state="succeeded")
            for n, day in enumerate(days, start=1)]  # fmt: skip
    for run in made:
        run.save(home)
    return made


def service(home: Path, name: str) -> Record:
    record = Record(name, 999_999_999, 1.0, 0, 4200, "http://127.0.0.1:9", ["none"], "x")
    record.save(home)
    return record


def test_runs(home, damage, capsys):
    first, last = runs(home, "2026-01-01", "2026-01-02")
    bad = home / "runs" / last.id / "run.json"
    damage(bad)
    assert all_runs(home) == [first] and last_run(home) == first
    assert open_lake(home).url == first.lake
    assert look(home)["last_night"]["id"] == first.id
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {bad} is damaged") and bad.with_name("run.json.damaged").exists()


def test_sweeps(home, damage, capsys):
    made = [Sweep(home, f"2026010{n}T000000-aaaa", "digest", {}, state="succeeded") for n in (1, 2)]
    for sweep in made:
        sweep.save()
    damage(made[1].folder / "grid.json")
    assert all_sweeps(home) == made[:1]
    assert capsys.readouterr().err.count("grid.json is damaged") == 1
    done = CliRunner().invoke(cli, ["grid", "list"])
    assert done.exit_code == 0 and made[0].id in done.output, done.output


def test_backfills_with_their_days_and_drivers(home, damage):
    asked = BackfillRequest(start="2026-01-01", end="2026-01-02", config={}, config_name="x", lake=str(home / "lake"))
    bad, kept = (Backfill.create(home, asked) for _ in range(2))
    kept.save(kept.day("2026-01-01"))
    damage(bad.folder / "backfill.json")
    damage(kept.folder / "days" / "2026-01-01.json")
    with kept.driven():
        damage(kept.folder / "driver.json")
        assert kept.driver is None
    assert all_backfills(home) == [kept]
    done = CliRunner().invoke(cli, ["backfill", "list"])
    assert done.exit_code == 0 and kept.id in done.output and "2 planned" in done.output, done.output
    assert CliRunner().invoke(cli, ["backfill", "status", kept.id]).exit_code == 0


def test_services_and_what_is_registered(home, damage, capsys):
    mlflow, _, worker = (service(home, name) for name in ("mlflow", "prefect", "nightjar-1"))
    damage(home / "service" / "prefect.pid.json")
    assert load_all(home) == [mlflow, worker] and load(home, "prefect") is None
    found = look(home)
    assert not found["well"] and [s["state"] for s in found["services"]] == ["gone", "gone"]
    for name in ("notify.json", "registered.json"):
        write_json(home / "service" / name, {"digest": "x", "schedules": {}})
        damage(home / "service" / name)
    assert notifications._remembered(home) == {} and registration._remembered(home) == {}
    assert len(capsys.readouterr().err.splitlines()) == 3
    said: list[str] = []
    down(home, said.append)
    assert said == ["nightjar-1: was gone already", "mlflow: was gone already"]


def test_choices_are_the_users_and_stay(home, damage, capsys):
    """Without them nothing is started, as a password would be forgotten; what runs is told and ended all the same."""
    Settings(auth="ada:secret", workers=2).save(home)
    path = home / "service" / "settings.json"
    damage(path)
    text = path.read_text()
    service(home, "nightjar-1")
    assert not look(home)["well"]
    down(home, lambda line: None)
    assert load_all(home) == [] and path.read_text() == text
    told = capsys.readouterr().err
    assert "delete it and name your choices again" in told and "secret" not in told
    with pytest.raises(UserError, match="name your choices again"):
        load_settings(home)


def test_a_new_run_takes_no_place_of_a_damaged_one(home, damage):
    (old,) = runs(home, "2026-01-01")
    damage(home / "runs" / old.id / "run.json")
    new = RunRecord(new_id(), "", [], str(home / "lake"), "2026-01-02", state="succeeded")
    new.save(home)
    assert all_runs(home) == [new]
