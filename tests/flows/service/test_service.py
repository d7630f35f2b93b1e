"""The service as it lives: up, up again, killed here and there, mended, down."""

import os
import signal
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import httpx
import psutil
import pytest
import yaml

from tests.homes import TINY


@pytest.fixture(scope="module")
def service(make_service):
    """Up, although the port that it was told for Prefect was taken."""
    found = make_service()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", found.prefect_port))
        taken.listen()
        found.told = found.first_up().stdout
    yield found
    found.home.run("down")


def test_a_taken_port_is_told_and_the_next_one_is_used(service):
    port = service.records()["prefect"]["port"]
    assert port > service.prefect_port
    assert f"prefect: port {service.prefect_port} is taken; using {port}" in service.told
    assert f"Prefect   http://127.0.0.1:{port}" in service.told
    assert f"MLflow    http://127.0.0.1:{service.mlflow_port}" in service.told
    assert service.get("prefect", "/ui-settings")["api_url"] == "/api", "where its page is from"


def test_status_says_that_all_is_well(service):
    status = service.status()
    assert status["well"] and [s["state"] for s in status["services"]] == ["up"] * 3
    assert {s["deployment"] for s in status["schedule"]} >= {"nightly", "watch"}
    assert "something is not well" not in service.home.ask("status").stdout


def test_the_schedule_makes_runs(service):
    """Prefect's scheduler fails in silence on a wrong SQLAlchemy."""
    assert service.wait(lambda: service.status()["next_night"])["state"] == "Scheduled"


def test_the_form_starts_from_the_config(service):
    parameters = service.deployment("nightly")["parameters"]
    assert parameters["world"]["num_users"] == 150 and parameters["als"]["factors"] == 8
    assert service.deployment("backfill")["parameters"]["night"]["world"]["num_users"] == 150


def test_nothing_listens_beyond_loopback_and_nobody_owns_it(service):
    for pid in service.pids().values():
        process = psutil.Process(pid)
        assert "NIGHTJAR_OWNER" not in process.environ()
        for one in (process, *process.children()):
            with suppress(psutil.NoSuchProcess):
                assert {c.laddr.ip for c in one.net_connections() if c.status == "LISTEN"} <= {"127.0.0.1"}


def test_again_it_changes_nothing(service):
    before = service.records()
    done = service.up(NIGHTJAR_OWNER="1.1")
    assert "everything is up already; nothing changed" in done.stdout
    assert service.records() == before


def test_a_command_uses_the_service(service):
    done = service.home.night()
    assert done.returncode == 0, done.stderr
    runs = service.api("/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
    assert [r["name"] for r in runs] == [f"nightly {service.home.record()['date']}"]
    release = service.status()["release"]
    assert (release["version"], release["date"]) == (1, service.home.record()["date"])
    assert service.wait(lambda: len(service.home.processes()) == 3)


@pytest.mark.parametrize("name", ["prefect", "mlflow", "nightjar-1"])
def test_a_killed_process_is_started_again_where_it_was(service, name):
    before, ports = service.pids(), {n: r["port"] for n, r in service.records().items()}
    deployment = service.deployment("nightly")["id"]
    service.kill(name)
    status = service.home.ask("status")
    assert status.returncode == 1 and "gone" in status.stdout and "mend it with: nightjar up" in status.stdout
    assert f"{name}: process {before[name]} is gone; starting it again" in service.up().stdout
    assert {n for n, pid in service.pids().items() if pid != before[n]} == {name}
    assert {n: r["port"] for n, r in service.records().items()} == ports
    assert service.deployment("nightly")["id"] == deployment


def _is_zombie(pid):
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def _change(service, path, change):
    service.get("prefect", f"/api{path}", change, method="PATCH")


@pytest.mark.parametrize(
    "what, change",
    [
        ("deployment", {"paused": True}),
        ("schedule", {"active": False}),
        ("pool", {"is_paused": True}),
    ],
)
def test_status_says_what_keeps_nights_from_starting(service, what, change):
    deployment = service.deployment("nightly")
    path = {
        "deployment": f"/deployments/{deployment['id']}",
        "schedule": f"/deployments/{deployment['id']}/schedules/{deployment['schedules'][0]['id']}",
        "pool": "/work_pools/nightjar",
    }[what]
    _change(service, path, change)
    (trouble,) = service.status()["troubles"]
    told = service.home.ask("status")
    assert trouble["about"] == "schedule" and "is paused" in trouble["what"] and "resume" in trouble["remedy"]
    assert told.returncode == 1 and f"schedule: {trouble['what']}; {trouble['remedy']}" in told.stdout
    _change(service, path, {name: not value for name, value in change.items()})
    assert service.status()["well"]


def test_status_says_that_a_worker_which_lives_has_not_been_heard_of(service, monkeypatch):
    monkeypatch.setattr("flows.service.health.HEARTBEAT_S", 0.0)  # it has lived for long enough
    service.kill("nightjar-1", signal.SIGSTOP)
    # The last that is heard of it says when the next should follow.
    heartbeat = {"name": "nightjar-1", "heartbeat_interval_seconds": 1}
    service.api("/work_pools/nightjar/workers/heartbeat", heartbeat)
    (trouble,) = service.wait(lambda: service.status()["troubles"])
    assert trouble["about"] == "nightjar-1" and "has not been heard of" in trouble["what"]
    service.kill("nightjar-1", signal.SIGCONT)
    assert service.wait(lambda: service.status()["well"])


def test_a_pid_that_is_another_process_now_is_left_alone(service):
    path = service.folder / "nightjar-1.pid.json"
    mine, pid = path.read_text(), service.pids()["nightjar-1"]
    os.kill(pid, signal.SIGKILL)
    path.write_text(mine.replace(f'"pid": {pid}', f'"pid": {os.getpid()}'))
    assert f"pid {os.getpid()} is another process now; starting it again" in service.up().stdout


def test_a_server_that_does_not_answer_is_restarted(service):
    service.kill("mlflow", signal.SIGSTOP)
    assert "does not answer" in service.home.ask("status").stdout
    assert "lives but does not answer" in service.up().stdout
    assert service.status()["well"]


def test_a_process_without_a_record_is_found(service):
    """`up` was killed between starting it and writing that down."""
    pid = service.pids()["mlflow"]
    (service.folder / "mlflow.pid.json").unlink()
    service.up()
    assert not psutil.pid_exists(pid) or _is_zombie(pid)
    assert service.records()["mlflow"]["port"] == service.mlflow_port


def test_a_process_whose_record_is_damaged_is_no_service_until_up_mends_it(service):
    pid = service.pids()["mlflow"]
    (service.folder / "mlflow.pid.json").write_text('{"name": "mlf')
    told = service.home.ask("status")
    assert told.returncode == 1 and "mlflow.pid.json is damaged" in told.stderr
    service.up()
    assert not psutil.pid_exists(pid) or _is_zombie(pid)
    assert service.home.ask("status").returncode == 0


def test_two_at_once(service):
    service.kill("mlflow")
    running = [service.home.command("up") for _ in range(2)]
    done = [r.wait() for r in running]
    assert [d.returncode for d in done] == [0, 0]
    said = sorted(("starting it again" in d.stdout, "waiting for it" in d.stdout) for d in done)
    assert said == [(False, True), (True, False)]


def test_more_and_fewer_workers(service):
    service.up("--workers", "2")
    assert {"nightjar-1", "nightjar-2"} <= service.pids().keys()
    assert "nightjar-2: no longer wanted; ending it" in service.up("--workers", "1").stdout
    assert "nightjar-2" not in service.pids()


def test_a_schedule_that_was_paused_in_the_ui_stays_so_with_another_config(service):
    deployment = service.deployment("watch")
    schedule = deployment["schedules"][0]
    _patch(service, "watch", {"active": False, "schedule": {**schedule["schedule"], "cron": "5 5 * * *"}})
    service.home.config.write_text(service.home.config.read_text().replace("factors: 8", "factors: 9"))
    assert "deployments registered" in service.up().stdout
    found = service.deployment("watch")["schedules"][0]
    assert (found["active"], found["schedule"]["cron"]) == (False, "5 5 * * *")
    assert service.deployment("nightly")["parameters"]["als"]["factors"] == 9


def _patch(service, name, change):
    deployment = service.deployment(name)
    schedule = deployment["schedules"][0]["id"]
    service.get("prefect", f"/api/deployments/{deployment['id']}/schedules/{schedule}", change, method="PATCH")


TAKEN = {
    "entrypoint": "os.system",
    "path": "/tmp",
    "job_variables": {"command": "touch taken", "env": {"A": "B"}},
    "pull_steps": [{"prefect.deployments.steps.run_shell_script": {"script": "touch taken"}}],
    "work_queue_name": "elsewhere",
    "enforce_parameter_schema": False,
}
"""What somebody could make of a deployment, so that its runs are theirs."""


def test_what_somebody_has_changed_of_what_runs_do_is_put_right_and_told(service):
    def standing():
        automation = service.api("/automations/filter", {"automations": {"name": {"any_": ["nightjar-notify"]}}})[0]
        block = service.api(f"/block_documents/{automation['actions'][0]['block_document_id']}?include_secrets=true")
        nightly = service.deployment("nightly")
        runs = {name: nightly[name] for name in (*TAKEN, "parameters")}
        template = service.api("/work_pools/nightjar")["base_job_template"]
        return runs, template, automation["trigger"]["within"], automation["actions"], block["data"]

    service.up("--notify", "http://127.0.0.1:9/told")
    before, nightly = standing(), service.deployment("nightly")
    template = {**before[1], "job_configuration": {**before[1]["job_configuration"], "command": "touch taken"}}
    more = {**nightly["parameters"], "catch_up_days": 0}
    changes = {
        f"/deployments/{nightly['id']}": {**TAKEN, "parameters": more},
        "/work_pools/nightjar": {"base_job_template": template},
        f"/block_documents/{before[3][0]['block_document_id']}": {"data": {"url": "http://127.0.0.1:9/elsewhere"}},
    }
    for path, change in changes.items():
        service.get("prefect", f"/api{path}", change, method="PATCH")
    service.api("/deployments/", {"name": "theirs", "flow_id": nightly["flow_id"], "entrypoint": "os.system",
                                  "work_pool_name": "nightjar"})  # fmt: skip
    assert standing() != before
    told = service.up().stdout
    assert standing() == before
    (line,) = [line for line in told.splitlines() if line.startswith("deployment ")]
    assert line.startswith("deployment nightly: somebody has changed its ") and line.endswith("; putting it right")
    assert all(part in line for part in ("entrypoint", "path", "job_variables", "pull_steps", "parameters"))
    assert "work pool nightjar: its template of jobs was not Prefect's own; putting it right" in told
    assert "automation nightjar-notify: somebody has changed when it posts, what or whereto" in told
    assert "a deployment that is none of ours: 'theirs' runs 'os.system'; if it is none of yours, delete it" in told
    assert "everything is up already; nothing changed" in service.up().stdout
    service.get("prefect", f"/api/deployments/{service.deployment('theirs')['id']}", method="DELETE")


def test_names_that_people_reach_it_by_are_said_once(service):
    def status(**headers):
        return httpx.post(f"{service.records()['mlflow']['url']}/api/2.0/mlflow/experiments/search", headers=headers,
                          json={"max_results": 1}, trust_env=False).status_code  # fmt: skip

    asked = {"Host": "mlflow.example.com", "Origin": "https://mlflow.example.com"}
    assert status(**asked) == 403
    assert (
        "mlflow: its settings have changed; restarting it" in service.up("--allow-hosts", "mlflow.example.com").stdout
    )
    assert status(**asked) == 200
    wrong = service.home.ask("up", "--allow-hosts", "*")
    assert wrong.returncode == 2 and "--allow-hosts: '*' is no HOST or HOST:PORT" in wrong.stderr


def test_a_scheduled_night_goes_on_after_down_and_up(service):
    deployment = service.deployment("nightly")
    tiny = {n: {**deployment["parameters"].get(n, {}), **v} for n, v in yaml.safe_load(TINY).items()}
    one_night = {"parameters": {**deployment["parameters"], **tiny, "catch_up_days": 0}}
    service.get("prefect", f"/api/deployments/{deployment['id']}", one_night, method="PATCH")
    _patch(service, "nightly", {"schedule": {"interval": 10, "timezone": "UTC"}})
    soon = (datetime.now(UTC) + timedelta(seconds=30)).isoformat()
    # Prefect's scheduler does the same, within a minute.
    service.api(f"/deployments/{deployment['id']}/schedule", {"end_time": soon, "min_runs": 1, "max_runs": 1})
    running = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
    before = set(service.home.digests())
    run = service.wait(lambda: service.api("/flow_runs/filter", running), 200)[0]
    _patch(service, "nightly", {"active": False})
    assert run["auto_scheduled"]
    service.wait(lambda: {n for n in set(service.home.digests()) - before if n.startswith("watches ")})
    told = service.home.run("down").stdout
    assert f"run {run['name']} has lost its process; it runs again" in told
    assert service.home.left_running() == []
    service.up()
    ended = service.await_state(run["id"], "COMPLETED", "FAILED", "CRASHED")
    assert ended["state_type"] == "COMPLETED", ended["state"]
    assert service.status()["release"]["date"] == run["name"].partition(" ")[2]


def test_logs(service):
    out = service.home.ask("logs", "nightjar-1", "-n", "3").stdout.splitlines()
    assert 1 <= len(out) <= 3 and all(line.startswith("nightjar-1") for line in out)
    done = service.home.ask("logs", "gardener")
    assert done.returncode == 2 and "there are: mlflow, nightjar-1, nightjar-2, prefect" in done.stderr


def test_down_ends_everything_and_twice_is_no_mistake(service):
    assert "prefect: ended" in service.home.run("down").stdout
    assert service.home.left_running() == []
    assert "nothing was up" in service.home.run("down").stdout
    assert service.home.ask("status").returncode == 1
