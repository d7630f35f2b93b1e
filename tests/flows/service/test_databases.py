"""PostgreSQL by URL and authentication: remembered, needed, never shown."""

import psycopg2
import pytest

from expectations.errors import Failure

AUTH = "night:a long: pass/word"


@pytest.fixture(scope="module")
def service(make_service, postgres):
    found = make_service()
    for name in ("prefect", "mlflow"):
        connection = psycopg2.connect(f"{postgres}/postgres")
        connection.autocommit = True
        connection.cursor().execute(f"create database {name}")
        connection.close()
    found.auth = AUTH
    done = found.first_up("--prefect-database", f"{postgres}/prefect", "--mlflow-database", f"{postgres}/mlflow",
                          NIGHTJAR_AUTH=AUTH)  # fmt: skip
    found.told = done.stdout + done.stderr
    yield found
    found.home.run("down")


def _secrets():
    return (AUTH, AUTH.partition(":")[2], "se%3Acret%2F1", "se:cret/1")


def test_both_servers_ask_for_the_password(service):
    for name, path in (("prefect", "/api/version"), ("mlflow", "/api/2.0/mlflow/experiments/search?max_results=1")):
        for wrong in ("", "night:wrong"):
            with pytest.raises(Failure, match=": 401 "):
                service.get(name, path, auth=wrong)
        assert service.get(name, path)


def test_no_password_is_shown(service):
    told = service.told + service.home.ask("status").stdout + service.home.ask("logs").stdout
    seen = told + "".join(" ".join(p.cmdline()) for p in service.home.processes())
    assert not [s for s in _secrets() if s in seen]
    private = list(service.folder.glob("*.json"))
    assert private and {oct(p.stat().st_mode & 0o777) for p in private} == {"0o600"}


def test_a_night_is_released_to_postgresql_and_survives_a_restart(service, postgres):
    done = service.home.night()
    assert done.returncode == 0, done.stderr
    assert not [s for s in _secrets() if s in done.stdout + done.stderr]
    assert not (service.home.path / "home/mlflow/mlflow.db").exists()
    assert not (service.home.path / "home/prefect/prefect.db").exists()
    night = service.api("/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
    assert len(night) == 1
    service.home.run("down")
    assert service.home.left_running() == []
    again = service.up()
    assert "settings have changed" not in again.stdout
    status = service.status()
    assert status["release"]["version"] == 1 and status["well"]
    assert [r["id"] for r in service.api("/flow_runs/filter", {"flow_runs": {"id": {"any_": [night[0]["id"]]}}})]
    with psycopg2.connect(f"{postgres}/mlflow") as connection, connection.cursor() as cursor:
        cursor.execute("select name, version from model_versions order by name")
        assert cursor.fetchall() == [("nightjar-ledger", 1), ("nightjar-recommender", 1)]
    gc = service.home.ask("gc", "--keep-days", "0")
    assert gc.returncode == 0 and "bundle/" not in gc.stdout


def test_a_worker_runs_a_night_there(service):
    run = service.start_run("nightly", date=service.status()["last_night"]["date"])
    ended = service.await_state(run, "COMPLETED", "FAILED", "CRASHED")
    assert ended["state_type"] == "COMPLETED", ended["state"]


def test_a_database_that_is_gone_is_told_by_whoever_needs_it_and_all_goes_on_when_it_is_back(service, postgres):
    """The servers answer meanwhile, and so do their health addresses."""
    before = service.pids()
    postgres.stop()
    try:
        assert service.get("prefect", "/api/health") is True
        told = service.home.ask("status")
        assert told.returncode == 1
        for name in ("prefect", "mlflow"):
            assert f"{name}: its database at 127.0.0.1:{postgres.port}/{name} does not answer; start" in told.stdout
        status = service.status()
        assert not status["well"] and {t["about"] for t in status["troubles"]} == {"prefect", "mlflow"}
        up = service.home.run("up")
        assert up.returncode == 1 and "does not answer; start PostgreSQL there" in up.stderr
        night = service.home.night()
        (line,) = night.stderr.splitlines()
        assert night.returncode == 1 and line.startswith("error: Prefect's server")
        assert "does not answer" in line and "run the same command again: what was published stands" in line
        assert not [s for s in _secrets() if s in told.stdout + up.stderr + line]
    finally:
        postgres.start()
    assert service.wait(lambda: service.status()["well"])
    assert service.home.night().returncode == 0
    service.up()
    assert service.pids() == before, "no server had to be restarted"


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--prefect-database", "mysql://u:geheim@h/d"], "--prefect-database: must be postgresql://"),
        (["--auth", "geheim"], "--auth: must be USER:PASSWORD"),
    ],
)
def test_what_no_server_could_use_is_refused_without_repeating_it(make_home, arguments, says):
    done = make_home().ask("up", *arguments)
    assert done.returncode == 2 and says in done.stderr and "geheim" not in done.stderr


def test_a_database_that_is_not_there_is_told(make_service):
    service = make_service()
    done = service.home.run("up", "--prefect-database", "postgresql://u:geheim@127.0.0.1:9/d")
    assert done.returncode == 1 and "prefect: ended while it was starting" in done.stderr
    assert "prefect: its database at 127.0.0.1:9/d does not answer; start PostgreSQL there" in done.stderr
    assert "geheim" not in done.stdout + done.stderr
    service.home.run("down")
