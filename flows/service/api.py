"""What is asked of the Prefect server beyond its own commands: pool, workers, runs."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flows.service.http import call
from flows.service.parts import POOL

OURS = {"work_pools": {"name": {"any_": [POOL]}}}


@dataclass(frozen=True)
class Api:
    """The API of a Prefect server, by its address (`.../api`); `auth` is `user:password` or empty."""

    url: str
    auth: str = ""
    timeout_s: float = 30.0

    def call(self, path: str, body: Any = None, method: str = "") -> Any:
        return call(f"{self.url}{path}", body, method=method, auth=self.auth, timeout_s=self.timeout_s)

    def make_pool(self) -> bool:
        """Make the work pool when it is not there, and put its template of jobs right; returns whether that was wrong.

        The template has the command and the environment of every run, so it is Prefect's own and nobody else's.
        """
        template = self.call("/collections/views/aggregate-worker-metadata")["prefect"]["process"]
        wanted = {"base_job_template": template["default_base_job_configuration"]}
        standing = self.call("/work_pools/filter", OURS)
        if not standing:
            self.call("/work_pools/", {"name": POOL, "type": "process", **wanted})
            return False
        if standing[0]["base_job_template"] == wanted["base_job_template"]:
            return False
        self.call(f"/work_pools/{POOL}", wanted, method="PATCH")
        return True

    def pool_is_paused(self) -> bool:
        """Whether the work pool hands out no runs."""
        return any(pool["is_paused"] for pool in self.call("/work_pools/filter", OURS))

    def offline_workers(self) -> set[str]:
        """Names of workers whose heartbeat has stopped."""
        return {w["name"] for w in self.call(f"/work_pools/{POOL}/workers/filter", {}) if w["status"] != "ONLINE"}

    def deployments(self) -> list[dict[str, Any]]:
        """Every deployment of our work pool."""
        return list(self.call("/deployments/filter", OURS))

    def deployment(self, flow: str, name: str) -> dict[str, Any] | None:
        """A deployment by its flow's name and its own, in whichever work pool; None when there is none."""
        named = {"flows": {"name": {"any_": [flow]}}, "deployments": {"name": {"any_": [name]}}}
        return next(iter(self.call("/deployments/filter", named)), None)

    def runs(self, types: Iterable[str], **more: Any) -> list[dict[str, Any]]:
        """Runs in our work pool in states of these types; `more` goes into the request (`sort`, `limit`)."""
        return list(
            self.call("/flow_runs/filter", {**OURS, "flow_runs": {"state": {"type": {"any_": [*types]}}}, **more})
        )

    def set_state(self, run: str, type_: str, name: str, message: str) -> None:
        """Put a run into a state, whatever its rules say."""
        state: dict[str, Any] = {"type": type_, "name": name, "message": message}
        if type_ == "SCHEDULED":
            state["state_details"] = {"scheduled_time": datetime.now(UTC).isoformat()}
        self.call(f"/flow_runs/{run}/set_state", {"state": state, "force": True})
