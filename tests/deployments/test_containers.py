"""Compose file, image and Kubernetes template, as far as they can be checked where no container runs.

Every command must exist here with every option it is given, every variable must be one that its program reads, and what
refers to something else in a file must find it. No image is built and no cluster asked: docs/deploying.md says so.
"""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import prefect.settings
import pytest
import yaml
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.utilities.templating import apply_values, find_placeholders

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "deployments" / "compose.yaml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "deployments" / "Dockerfile").read_text().replace("\\\n", " ")
TEMPLATE = json.loads((ROOT / "deployments" / "kubernetes-job-template.json").read_text())
POSTGRES = {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"}


@cache
def _help(*words: str) -> str:
    """What a command of this environment says of itself; fails when there is none."""
    command = [str(Path(sys.executable).parent / words[0]), *words[1:], "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=400).stdout


def _source(module: str) -> str:
    return (ROOT / module.replace(".", "/")).with_suffix(".py").read_text()


def _calls(service: dict[str, Any]) -> list[list[str]]:
    """The commands of a service, those of its shell script one by one."""
    command = service["command"]
    if command[0] != "sh":
        return [command]
    steps = re.split(r"\|\||\n", re.sub(r"> /dev/null 2>&1", "", command[-1]))
    return [shlex.split(s) for s in steps if s.strip()]


OURS = {name: s for name, s in SERVICES.items() if s["image"] == "nightjar"}
CALLS = [pytest.param(call, id=f"{n}: {' '.join(call[:3])}") for n, s in OURS.items() for call in _calls(s)]


@pytest.mark.parametrize("call", CALLS)
def test_every_command_exists_with_every_option(call):
    if call[0] == "python":
        _, how, module, port, address = call
        assert how == "-m" and f"python -m {module} PORT [ADDRESS]`" in _source(module) and port.isdecimal() and address
        return
    words = [w for w in call if not w.startswith("-")]
    depth = {"mlflow": 2, "prefect": 2 if words[1] == "deploy" else 3}[words[0]]
    told = _help(*words[:depth])
    for option in (w.partition("=")[0] for w in call[1:] if w.startswith("--") and w != "--no-prompt"):
        assert option in told, f"{' '.join(words[:depth])} knows no {option}"
    for path in (w for w in words if w.startswith("deployments/")):
        assert (ROOT / path).is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_every_variable_is_read_by_its_program(name):
    for variable in SERVICES[name]["environment"]:
        if variable.startswith("NIGHTJAR_"):
            assert any(variable in p.read_text() for top in ("flows", "tasks") for p in (ROOT / top).rglob("*.py"))
        elif variable.startswith("MLFLOW_"):
            from mlflow.cli import server

            assert variable in {o.envvar for o in server.params}
        else:
            known = hasattr(prefect.settings, variable) if name in OURS else variable in POSTGRES
            assert known, f"{name}: {variable}"


@pytest.mark.parametrize("name", ["prefect", "mlflow"])
def test_each_server_answers_under_the_name_that_others_ask_it_by(name):
    asked = re.findall(rf"http://{name}(?::\d+)?", TEXT)
    assert asked and name in SERVICES[name]["environment"]["NIGHTJAR_ALLOW_HOSTS"].split(",")


def test_what_the_services_refer_to_is_there():
    assert set(COMPOSE["volumes"]) == {v.partition(":")[0] for s in SERVICES.values() for v in s.get("volumes", ())}
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            healthy = how["condition"] == "service_healthy"
            assert not healthy or "healthcheck" in SERVICES[other], f"{name} waits for the health of {other}"
            if how["condition"] == "service_completed_successfully":
                assert SERVICES[other]["restart"] == "no"
    for url in re.findall(r"(?:http|@)(?:://)?([a-z]+):(?:5000|4200|5432)", TEXT):
        assert url in SERVICES
    context = (ROOT / "deployments" / SERVICES["prefect"]["build"]["context"]).resolve()
    assert (context / SERVICES["prefect"]["build"]["dockerfile"]).is_file()


def test_nothing_is_published_beyond_this_machine_and_no_password_is_written_down():
    ports = [p for s in SERVICES.values() for p in s.get("ports", ())]
    assert ports and all(p.startswith("127.0.0.1:") for p in ports)
    secrets = {"POSTGRES_PASSWORD", "PREFECT_AUTH"}
    used = re.findall(r"\$\{([A-Z_]+)(:\?[^}]+)?\}", TEXT)
    assert {name for name, _ in used} == secrets == {name for name, needed in used if needed}
    commands = " ".join(str(s.get("command")) for s in SERVICES.values())
    assert not any(secret in commands for secret in secrets), "every user of a machine can read arguments"


@pytest.mark.parametrize("name", [n for n, s in OURS.items() if "healthcheck" in s])
def test_a_healthcheck_runs_and_fails_where_nothing_answers(name):
    how, program, *arguments = SERVICES[name]["healthcheck"]["test"]
    assert (how, program) == ("CMD", "python")
    silent = [re.sub(r":\d+/", ":9/", a) for a in arguments]
    done = subprocess.run([sys.executable, *silent], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "refused" in done.stderr


def _instructions(word: str) -> list[str]:
    return [" ".join(line.split()[1:]) for line in DOCKERFILE.splitlines() if line.startswith(f"{word} ")]


def test_the_image_is_what_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (base,) = _instructions("FROM")
    assert base.startswith("python:3.11-slim") and ">=3.11" in project["requires-python"]
    assert "openjdk-17-jre-headless" in DOCKERFILE and "-c constraints.txt" in DOCKERFILE
    sources = [s for c in _instructions("COPY") for s in c.split()[:-1] if not s.startswith("--")]
    assert all((ROOT / s).exists() for s in sources)
    named = re.search(r'python -c ("import tomllib.*?\'\\n\'\)")', DOCKERFILE)
    assert named
    code = shlex.split(named[1])[0]
    listed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert listed.splitlines() == project["dependencies"]


def test_nothing_in_the_image_runs_as_root():
    lines = [line.split(maxsplit=1) for line in DOCKERFILE.splitlines() if re.match(r"(USER|RUN|CMD) ", line)]
    users = [words[1] for words in lines if words[0] == "USER"]
    assert users == ["nightjar"]
    after = lines[[w[0] for w in lines].index("USER") :]
    assert not any("apt-get" in words[1] for words in after) and after[-1][0] == "CMD"


def test_prefect_takes_the_kubernetes_template():
    pool = WorkPoolCreate(name="nightjar", type="kubernetes", base_job_template=TEMPLATE)
    variables = pool.base_job_template["variables"]
    jsonschema.Draft202012Validator.check_schema(variables)
    defaults = {n: p["default"] for n, p in variables["properties"].items() if "default" in p}
    jsonschema.validate({**defaults, "image": "nightjar"}, variables)
    with pytest.raises(jsonschema.ValidationError, match="'image' is a required property"):
        jsonschema.validate(defaults, variables)
    used = {p.name for p in find_placeholders(TEMPLATE["job_configuration"])}
    assert used == set(variables["properties"]), "every variable is used, and nothing else"


def test_a_job_of_the_template_is_a_nightjar_that_may_do_little():
    values = {n: p.get("default") for n, p in TEMPLATE["variables"]["properties"].items()}
    job = apply_values(TEMPLATE["job_configuration"], {**values, "image": "nightjar:1"})["job_manifest"]
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (container["image"], container["resources"]["requests"]) == ("nightjar:1", {"cpu": "2", "memory": "10Gi"})
    assert pod["securityContext"]["runAsNonRoot"] and f"--uid {pod['securityContext']['runAsUser']} " in DOCKERFILE
    mounted = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    assert set(mounted) == {v["name"] for v in pod["volumes"]}
    assert f"NIGHTJAR_HOME={mounted['home']}" in DOCKERFILE
