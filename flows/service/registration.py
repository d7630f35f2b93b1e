"""Registers what `deployments/prefect.yaml` declares, with the settings of a run config as the parameters."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from expectations.errors import Failure
from expectations.files import write_json
from expectations.records import checked, read_record, text_of
from flows.config import SECTIONS, NightlyConfig, load_config
from flows.environment import variables
from flows.service.api import Api
from flows.service.processes import ROOT
from flows.service.state import folder, redacted

DECLARED = ROOT / "deployments" / "prefect.yaml"
MANY = ("backfill", "grid-search")
"""Deployments that run many nights take the sections of a run config as one parameter, `night`."""


def register(home: Path, config: Path, api: Api) -> bool:
    """Register every deployment, unless the same ones are registered already; returns whether it did.

    A schedule that was changed or paused in the UI stays so until the one in the file changes.

    Raises:
        UserError: the run config is none.
        Failure: Prefect refused.
    """
    declared = yaml.safe_load(DECLARED.read_text())
    _configure(declared, load_config(config))
    schedules = {d["name"]: d.get("schedules", []) for d in declared["deployments"]}
    digest = hashlib.sha256((json.dumps(declared, sort_keys=True, default=str) + _code_digest()).encode()).hexdigest()
    standing = {d["name"]: d for d in api.deployments()}
    before = _remembered(home)
    if before.get("digest") == digest and schedules.keys() <= standing.keys():
        return False
    for deployment in declared["deployments"]:
        name = deployment["name"]
        if name in standing and before.get("schedules", {}).get(name) == schedules[name]:
            _keep_schedules(deployment, standing[name])
    _deploy(home, declared, api)
    write_json(_registered(home), {"digest": digest, "schedules": schedules}, private=True)
    return True


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
