"""What `nightjar status` shows: what runs, what is not well and the remedy, schedule, nights, newest release.

Everything is asked side by side and within a few seconds: a server, a lake or a disk that hangs is told as such.
"""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from flows import surroundings
from flows.night.records import RunRecord, all_runs
from flows.service import health
from flows.service.api import Api
from flows.service.asking import ask_side_by_side
from flows.service.health import ANSWER_S, LIMIT_S, NIGHT, Trouble, trouble_of
from flows.service.http import call
from flows.service.parts import PORTS
from flows.service.settings import Settings, known_settings
from flows.service.state import Record, load_all
from tasks.machine.home import lake_of


def look(home: Path) -> dict[str, Any]:
    """Services, schedule, last and next night, newest release, troubles; `well` when there are none of these."""
    settings, records = known_settings(home), load_all(home)
    runs = all_runs(home)
    questions: dict[str, Callable[[], Any]] = {
        **{record.name: partial(health.state_of, record, settings) for record in records},
        **({"disk": partial(surroundings.disk_trouble, home)} if home.is_dir() else {}),
        **({"lake": partial(surroundings.lake_trouble, lake_of(home), home)} if runs else {}),
    }
    servers = {r.name: r for r in records if r.name in PORTS and r.process()}
    if "prefect" in servers:
        questions["schedule"] = partial(_ask_prefect, servers["prefect"], settings, records)
    if "mlflow" in servers:
        questions["release"] = partial(_release, servers["mlflow"].url, settings.auth)
    heard = ask_side_by_side(questions, LIMIT_S)
    states = {r.name: heard[r.name] if isinstance(heard[r.name], str) else "does not answer" for r in records}
    prefect: _Prefect = _good(heard.get("schedule")) or _Prefect()
    states |= dict.fromkeys((name for name in prefect.silent if states[name] == "up"), "has no heartbeat")
    troubles = [
        *health.missing_services(records),
        *filter(None, (health.server_trouble(r, states[r.name], settings) for r in records)),
        *prefect.troubles,
        *surroundings.long_nights(runs),
        *filter(None, (trouble_of(name, heard.get(name)) for name in ("lake", "disk"))),
    ]
    # What a server that is not well could not say is no trouble of its own.
    if states.get("prefect") == "up":
        troubles += filter(None, [trouble_of("schedule", heard.get("schedule"))])
    if states.get("mlflow") == "up":
        troubles += filter(None, [trouble_of("release", heard.get("release"))])
    troubles = list(dict.fromkeys(troubles))
    return {
        "home": str(home),
        "well": not troubles,
        "troubles": [asdict(trouble) for trouble in troubles],
        "services": [_service(record, states[record.name]) for record in records],
        "schedule": prefect.schedules,
        "next_night": prefect.next_night,
        "last_night": _last_night(runs),
        "release": _good(heard.get("release")),
    }


class _Prefect:
    """What Prefect's server says."""

    def __init__(self) -> None:
        self.schedules: list[dict[str, Any]] = []
        self.next_night: dict[str, Any] | None = None
        self.silent: set[str] = set()
        self.troubles: list[Trouble] = []


def _ask_prefect(record: Record, settings: Settings, records: list[Record]) -> _Prefect:
    api, said = Api(f"{record.url}/api", settings.auth, ANSWER_S), _Prefect()
    deployments = api.deployments()
    said.schedules, said.next_night = _schedules(deployments), _next_night(api)
    said.silent = health.silent_workers(api, [r for r in records if r.name not in PORTS and r.process()])
    said.troubles = [*health.schedule_troubles(api, deployments), *health.waiting_troubles(api)]
    return said


def _good(answer: Any) -> Any:
    return None if isinstance(answer, Exception) else answer


def _service(record: Record, state: str) -> dict[str, Any]:
    return {"name": record.name, "state": state, "pid": record.pid, "port": record.port or None, "url": record.url}


def _schedules(deployments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "deployment": deployment["name"],
            "when": next(str(found["schedule"][k]) for k in ("cron", "rrule", "interval") if k in found["schedule"]),
            "timezone": found["schedule"].get("timezone"),
            "active": found["active"] and not deployment["paused"],
        }
        for deployment in deployments
        for found in deployment["schedules"]
    ]


def _next_night(api: Api) -> dict[str, Any] | None:
    flows = {"flows": {"name": {"any_": [NIGHT]}}}
    runs = api.runs(("SCHEDULED", "PENDING", "RUNNING"), sort="EXPECTED_START_TIME_ASC", limit=1, **flows)
    if not runs:
        return None
    return {"name": runs[0]["name"], "state": runs[0]["state_name"], "at": runs[0]["expected_start_time"]}


def _last_night(runs: list[RunRecord]) -> dict[str, Any] | None:
    if not runs:
        return None
    last = runs[-1]
    told = {"id": last.id, "date": last.date, "state": last.state, "error": last.error}
    return {**told, "seconds": round(last.seconds, 1)}


def _release(url: str, auth: str) -> dict[str, Any] | None:
    from urllib.parse import urlencode

    from tasks.registry.registry import MODEL

    query = {"filter": f"name = '{MODEL}'", "order_by": "version_number DESC", "max_results": 1}
    answer = call(f"{url}/api/2.0/mlflow/model-versions/search?{urlencode(query)}", auth=auth, timeout_s=ANSWER_S)
    versions = answer.get("model_versions", [])
    if not versions:
        return None
    tags = {t["key"]: t["value"] for t in versions[0].get("tags", [])}
    return {
        "version": int(versions[0]["version"]),
        "date": tags.get("nightjar.date"),
        "aliases": versions[0].get("aliases", []),
    }
