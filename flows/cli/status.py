"""What `nightjar status` shows; asks only the servers on loopback and the files of the home."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from expectations.errors import Failure
from flows.night.records import all_runs
from flows.service.api import Api
from flows.service.http import answers, call
from flows.service.parts import PORTS
from flows.service.settings import auth_of
from flows.service.state import Record, load, load_all

NIGHT = "nightly"


def look(home: Path) -> dict[str, Any]:
    """Services, schedule, last and next night, newest release; `well` when everything that was started is."""
    services = [_service(r) for r in load_all(home)]
    well = {s["name"] for s in services if s["state"] == "up"}
    found: dict[str, Any] = {
        "home": str(home),
        "well": len(well) == len(services) and well >= set(PORTS) and any(n not in PORTS for n in well),
        "services": services,
        "schedule": [],
        "next_night": None,
        "last_night": _last_night(home),
        "release": None,
    }
    prefect, mlflow = load(home, "prefect"), load(home, "mlflow")
    auth = auth_of(home)
    if prefect and "prefect" in well:
        with suppress(Failure):
            api = Api(f"{prefect.url}/api", auth)
            found |= {"schedule": _schedules(api), "next_night": _next_night(api)}
    if mlflow and "mlflow" in well:
        with suppress(Failure):
            found["release"] = _release(mlflow.url, auth)
    return found


def _service(record: Record) -> dict[str, Any]:
    state = "up"
    if record.process() is None:
        state = "gone"
    elif record.url and not answers(record.health_url):
        state = "does not answer"
    return {"name": record.name, "state": state, "pid": record.pid, "port": record.port or None, "url": record.url}


def _schedules(api: Api) -> list[dict[str, Any]]:
    return [
        {
            "deployment": deployment["name"],
            "when": next(str(found["schedule"][k]) for k in ("cron", "rrule", "interval") if k in found["schedule"]),
            "timezone": found["schedule"].get("timezone"),
            "active": found["active"] and not deployment["paused"],
        }
        for deployment in api.deployments()
        for found in deployment["schedules"]
    ]


def _next_night(api: Api) -> dict[str, Any] | None:
    flows = {"flows": {"name": {"any_": [NIGHT]}}}
    runs = api.runs(("SCHEDULED", "PENDING", "RUNNING"), sort="EXPECTED_START_TIME_ASC", limit=1, **flows)
    if not runs:
        return None
    return {"name": runs[0]["name"], "state": runs[0]["state_name"], "at": runs[0]["expected_start_time"]}


def _last_night(home: Path) -> dict[str, Any] | None:
    runs = all_runs(home)
    if not runs:
        return None
    last = runs[-1]
    told = {"id": last.id, "date": last.date, "state": last.state, "error": last.error}
    return {**told, "seconds": round(last.seconds, 1)}


def _release(url: str, auth: str) -> dict[str, Any] | None:
    from urllib.parse import urlencode

    from tasks.registry.registry import MODEL

    query = {"filter": f"name = '{MODEL}'", "order_by": "version_number DESC", "max_results": 1}
    answer = call(f"{url}/api/2.0/mlflow/model-versions/search?{urlencode(query)}", auth=auth)
    versions = answer.get("model_versions", [])
    if not versions:
        return None
    tags = {t["key"]: t["value"] for t in versions[0].get("tags", [])}
    return {
        "version": int(versions[0]["version"]),
        "date": tags.get("nightjar.date"),
        "aliases": versions[0].get("aliases", []),
    }
