"""Registers what `deployments/prefect.yaml` declares, with the settings of a run config as the parameters."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from expectations.errors import Failure
from expectations.files import write_json
from expectations.passwords import redacted
from expectations.records import checked, read_record, text_of
from flows.config import SECTIONS, NightlyConfig, load_config
from flows.environment import variables
from flows.service.api import Api
from flows.service.processes import ROOT
from flows.service.state import Say, digest_of, folder

DECLARED = ROOT / "deployments" / "prefect.yaml"
UNSET = {
    "path": None, "storage_document_id": None, "infrastructure_document_id": None, "enforce_parameter_schema": True,
}  # fmt: skip
"""What Prefect's own command leaves as it finds it in a deployment that is there."""
RUNS = (
    *UNSET, "entrypoint", "pull_steps", "job_variables", "parameters", "parameter_openapi_schema", "work_pool_name",
    "work_queue_name", "concurrency_options",
)  # fmt: skip
"""What of a deployment decides what its runs do: nobody's to change but the file's and the run config's."""
MANY = ("backfill", "grid-search")
"""Deployments that run many nights take the sections of a run config as one parameter, `night`."""


def register(home: Path, config: Path, api: Api, say: Say) -> bool:
    """Register every deployment, unless the same ones are registered already; returns whether it did.

    What somebody has changed of what their runs do is put right, and told. A schedule that was changed or paused in the
    UI stays so until the one in the file changes.

    Raises:
        UserError: the run config is none.
        Failure: Prefect refused.
    """
    declared = yaml.safe_load(DECLARED.read_text())
    _configure(declared, load_config(config))
    schedules = {d["name"]: d.get("schedules", []) for d in declared["deployments"]}
    digest = digest_of([declared, _code_digest()])
    standing, before = _standing(api, declared), _remembered(home)
    _tell_of_others(api, standing, say)
    changed = _changed(standing, before.get("runs", {}))
    if before.get("digest") == digest and "runs" in before and not changed and schedules.keys() <= standing.keys():
        return False
    for line in changed:
        say(f"{line}; putting it right")
    for deployment in declared["deployments"]:
        name = deployment["name"]
        if name in standing and before.get("schedules", {}).get(name) == schedules[name]:
            _keep_schedules(deployment, standing[name])
    _deploy(home, declared, api)
    for deployment in _standing(api, declared).values():
        api.call(f"/deployments/{deployment['id']}", UNSET, method="PATCH")
    runs = {name: _runs(deployment) for name, deployment in _standing(api, declared).items()}
    write_json(_registered(home), {"digest": digest, "schedules": schedules, "runs": runs}, private=True)
    return True


def _standing(api: Api, declared: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Our deployments by name, as the server has them."""
    found = {}
    for deployment in declared["deployments"]:
        flow = deployment["entrypoint"].rpartition(".")[2].replace("_", "-")
        if standing := api.deployment(flow, deployment["name"]):
            found[deployment["name"]] = standing
    return found


def _tell_of_others(api: Api, standing: dict[str, dict[str, Any]], say: Say) -> None:
    ours = {deployment["id"] for deployment in standing.values()}
    for other in api.deployments():
        if other["id"] not in ours:
            say(
                f"the work pool has a deployment that is none of ours: {other['name']!r} runs {other['entrypoint']!r}; "
                "if it is none of yours, delete it in Prefect's UI"
            )


def _runs(deployment: dict[str, Any]) -> dict[str, str]:
    """Digest of each part of a deployment that decides what its runs do."""
    return {name: digest_of(deployment.get(name)) for name in RUNS}


def _changed(standing: dict[str, Any], before: dict[str, dict[str, str]]) -> list[str]:
    """What is no longer as it was registered, a sentence a deployment."""
    told = []
    for name, known in before.items():
        now = _runs(standing[name]) if name in standing else known
        parts = [part for part in RUNS if part in known and now.get(part) != known[part]]
        if parts:
            told.append(f"deployment {name}: somebody has changed its {', '.join(parts)}")
    return told


def _configure(declared: dict[str, Any], config: NightlyConfig) -> None:
    from pydantic import TypeAdapter

    values = TypeAdapter(NightlyConfig).dump_python(config, mode="json")
    sections = {section: values[section] for section in SECTIONS}
    ours = {
        "nightly": sections,
        "watch": {"registry": config.resources.registry},
        **{name: {"night": sections} for name in MANY},
    }
    for deployment in declared["deployments"]:
        if deployment["name"] in ours:
            deployment["parameters"] = {**(deployment.get("parameters") or {}), **ours[deployment["name"]]}


def _keep_schedules(deployment: dict[str, Any], standing: dict[str, Any]) -> None:
    kept = []
    for found in standing["schedules"]:
        own = {k: found[k] for k in ("active", "slug", "parameters", "max_scheduled_runs") if found.get(k) is not None}
        kept.append({**{k: v for k, v in found["schedule"].items() if v is not None}, **own})
    deployment["schedules"] = kept
    deployment["paused"] = standing["paused"]


def _deploy(home: Path, declared: dict[str, Any], api: Api) -> None:
    path = folder(home) / "prefect.yaml"
    path.write_text(yaml.safe_dump(declared, sort_keys=False))
    environment = {**os.environ, **variables(home), "PREFECT_API_URL": api.url, "PREFECT_API_AUTH_STRING": api.auth}
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(path)],
        cwd=ROOT,
        env={k: v for k, v in environment.items() if v},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        says = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()][-1:]
        raise Failure(f"Prefect refused the deployments of {DECLARED}: {redacted(''.join(says))[:1000]}")


def _code_digest() -> str:
    """Hex digest of our sources, from which the forms in the UI follow."""
    sources = sorted(p for top in ("flows", "tasks", "models", "spark_jobs") for p in (ROOT / top).rglob("*.py"))
    return hashlib.sha256(b"".join(p.read_bytes() for p in sources)).hexdigest()


def _remembered(home: Path) -> dict[str, Any]:
    def make(values: Any) -> dict[str, Any]:
        text_of(values, "digest")
        return checked(dict[str, Any], values)

    return read_record(_registered(home), make, "deployments are registered anew, with the file's schedules") or {}


def _registered(home: Path) -> Path:
    return folder(home) / "registered.json"
