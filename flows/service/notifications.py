"""Notifications: an automation of Prefect's that calls a webhook when a run of ours failed, crashed or is late.

One JSON object is posted: `flow`, `run`, `state`, `message`, `url` (of the run in Prefect's UI). The night that is not
there by a certain hour is a failed run too: that of the deployment `watch`.
"""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from expectations.files import write_json
from expectations.records import checked, read_record, text_of
from flows.service.api import Api
from flows.service.state import Say, digest_of, folder

NAME = "nightjar-notify"
STATES = ("Failed", "Crashed", "TimedOut", "Late")
FIELDS = {
    "flow": "flow.name",
    "run": "flow_run.name",
    "state": "flow_run.state.name",
    "message": "flow_run.state.message or ''",
    "url": "flow_run | ui_url",
}
RECENT = timedelta(minutes=1)
"""What ended longer ago has been posted, or never will be."""
PATIENCE_S = 20.0
"""For Prefect to post, and to note that it has, which it does every five seconds."""


def notify(home: Path, api: Api, url: str, say: Say) -> bool:
    """Make, change or remove the automation, so that it posts to `url`; returns whether there was anything to do.

    Paused in the UI, it stays so. What somebody has changed of when it posts, what or whereto is put right, and told.
    """
    standing = api.call("/automations/filter", {"automations": {"name": {"any_": [NAME]}}})
    if not url:
        for found in standing:
            api.call(f"/automations/{found['id']}", method="DELETE")
        _path(home).unlink(missing_ok=True)
        return bool(standing)
    flows = sorted({d["flow_id"] for d in api.deployments()})
    digest, before = digest_of([url, flows, STATES, FIELDS]), _remembered(home)
    if standing and before.get("digest") == digest:
        if before.get("standing") == _stands(api, standing[0]):
            return False
        say(f"automation {NAME}: somebody has changed when it posts, what or whereto; putting it right")
    wanted = _automation(flows, _webhook(api, url))
    if standing:
        api.call(f"/automations/{standing[0]['id']}", {**wanted, "enabled": standing[0]["enabled"]}, method="PUT")
    else:
        api.call("/automations/", wanted)
    (made, *_) = api.call("/automations/filter", {"automations": {"name": {"any_": [NAME]}}})
    write_json(_path(home), {"digest": digest, "standing": _stands(api, made)}, private=True)
    return True


def await_posted(api: Api, patience_s: float = PATIENCE_S) -> bool:
    """Wait until Prefect has posted of every run that ended badly just now; returns whether it has.

    Its server forgets at its end what it has not posted yet.
    """
    standing = api.call("/automations/filter", {"automations": {"name": {"any_": [NAME]}}})
    if not (standing and standing[0]["enabled"]):
        return True
    since = max((datetime.now(UTC) - RECENT).isoformat(), standing[0]["updated"])
    ended = {
        "flows": {"id": {"any_": [d["flow_id"] for d in api.deployments()]}},
        "flow_runs": {"state": {"name": {"any_": STATES}}, "end_time": {"after_": since}},
    }
    runs = [run["id"] for run in api.call("/flow_runs/filter", ended)]
    until = time.monotonic() + patience_s
    while not all(_is_posted(api, run) for run in runs):
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def _is_posted(api: Api, run: str) -> bool:
    """Whether an automation has done, or failed to do, what it does when this run has ended."""
    ends = {"event": {"name": [f"prefect.flow-run.{state}" for state in STATES]}}
    events = _events(api, {**ends, "resource": {"id": [f"prefect.flow-run.{run}"]}})
    done = {"event": {"name": [f"prefect.automation.action.{how}" for how in ("executed", "failed")]}}
    return bool(events) and bool(
        _events(api, {**done, "related": {"id": [f"prefect.event.{event['id']}" for event in events]}})
    )


def _events(api: Api, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    return list(api.call("/events/filter", {"filter": wanted})["events"])


def _stands(api: Api, automation: dict[str, Any]) -> str:
    """Digest of when an automation posts, what and whereto."""
    trigger = {name: value for name, value in automation["trigger"].items() if name != "id"}
    blocks = [api.call(f"/block_documents/{a['block_document_id']}?include_secrets=true")["data"]
              for a in automation["actions"] if a.get("block_document_id")]  # fmt: skip
    return digest_of([trigger, automation["actions"], blocks])


def _automation(flows: list[str], block: str) -> dict[str, Any]:
    payload = ", ".join(f'"{name}": {{{{ ({value}) | string | tojson }}}}' for name, value in FIELDS.items())
    return {
        "name": NAME,
        "description": "A run of Nightjar's failed, crashed or is late",
        "trigger": {
            "type": "event",
            "posture": "Reactive",
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "match_related": {
                "prefect.resource.role": "flow",
                "prefect.resource.id": [f"prefect.flow.{flow}" for flow in flows],
            },
            "expect": [f"prefect.flow-run.{state}" for state in STATES],
            "for_each": ["prefect.resource.id"],
            "threshold": 1,
            "within": 0,
        },
        "actions": [{"type": "call-webhook", "block_document_id": block, "payload": "{" + payload + "}"}],
    }


def _webhook(api: Api, url: str) -> str:
    """Id of the block that holds the URL, encrypted, made or changed."""
    data = {"url": url, "method": "POST", "headers": {"Content-Type": "application/json"}}
    api.call("/block_types/install_system_block_types", {})
    kind = api.call("/block_types/slug/webhook")["id"]
    for found in api.call("/block_types/slug/webhook/block_documents"):
        if found["name"] == NAME:
            api.call(f"/block_documents/{found['id']}", {"data": data}, method="PATCH")
            return str(found["id"])
    schema = api.call("/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [kind]}}})[0]["id"]
    made = api.call("/block_documents/", {"name": NAME, "data": data, "block_type_id": kind, "block_schema_id": schema})
    return str(made["id"])


def _remembered(home: Path) -> dict[str, str]:
    def make(values: Any) -> dict[str, str]:
        text_of(values, "digest")
        return checked(dict[str, str], values)

    return read_record(_path(home), make, "who is notified is set anew") or {}


def _path(home: Path) -> Path:
    return folder(home) / "notify.json"
