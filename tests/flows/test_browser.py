"""What people do in Prefect's UI: the real pages in headless Chromium, on a real server with a real worker.

A night is started from the form and looked at, the schedule is paused and resumed, and late nights of it are made up
for. No page may ask anything of a machine but this one.
"""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from flows.service.http import call
from tests.homes import LISTED, SMALL
from tests.servers import free_port

USERS = 150
"""Written into the form, as the shared nights have it; the config of the deployment says 140."""


@dataclass
class Service:
    """`nightjar up` in a home of its own."""

    home: Any
    prefect: str
    mlflow: str

    def api(self, path: str, body: Any = None, method: str = "") -> Any:
        return call(f"{self.prefect}/api{path}", body, method=method)

    @property
    def nightly(self) -> dict[str, Any]:
        return dict(self.api("/deployments/name/nightly/nightly"))

    @property
    def is_scheduled(self) -> bool:
        """Whether the schedule of `nightly` makes runs."""
        return bool(self.nightly["schedules"][0]["active"])

    def runs(self) -> list[dict[str, Any]]:
        """All flow runs but those that the schedule will start."""
        started = {"state": {"type": {"not_any_": ["SCHEDULED"]}}}
        return list(self.api("/flow_runs/filter", {"flow_runs": started, "sort": "START_TIME_ASC"}))

    def started_by_hand(self) -> list[str]:
        """Ids of the runs of `nightly` that are none of its schedule's, which the pages list beside them."""
        soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        body = {"flow_runs": {"expected_start_time": {"before_": soon}}, "deployments": {"name": {"any_": ["nightly"]}}}
        return [r["id"] for r in self.api("/flow_runs/filter", body) if not r["auto_scheduled"]]

    def said(self, run: dict[str, Any]) -> list[str]:
        """What a run has logged."""
        lines = self.api("/logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}})
        return [line["message"] for line in lines]

    def released(self) -> list[str]:
        """Day of every version, in the order in which they were registered."""
        versions = call(f"{self.mlflow}/api/2.0/mlflow/model-versions/search")["model_versions"]
        days = {int(v["version"]): t["value"] for v in versions for t in v["tags"] if t["key"] == "nightjar.date"}
        return [days[number] for number in sorted(days)]

    def late_runs(self, after: str, before: str, number: int) -> list[dict[str, Any]]:
        """Runs of the schedule between two past times, at their end: what Prefect keeps for a machine that was off."""
        body = {"start_time": after, "end_time": before, "min_runs": number, "max_runs": number}
        self.api(f"/deployments/{self.nightly['id']}/schedule", body)
        late = {"flow_runs": {"expected_start_time": {"after_": after, "before_": before}}}
        return [self.ended(r["id"]) for r in self.api("/flow_runs/filter", late)]

    def ended(self, run: str, timeout_s: float = 600) -> dict[str, Any]:
        """A run at its end."""
        until = time.monotonic() + timeout_s
        while (found := self.api(f"/flow_runs/{run}"))["state_type"] not in ("COMPLETED", "FAILED", "CRASHED"):
            assert time.monotonic() < until, f"{found['name']} is {found['state_name']} after {timeout_s} s"
            time.sleep(0.5)
        return dict(found)


@pytest.fixture(scope="module")
def service(continued: Callable[..., Any], golden_days: Any) -> Iterator[Service]:
    """In a home whose lake has three nights up to their index, with other settings than the deployment's."""
    home, ports = continued(("index", *LISTED), of=golden_days), (free_port(), free_port())
    home.config.write_text(SMALL.replace("num_users: 150", "num_users: 140"))
    options = (f"--prefect-port={ports[0]}", f"--mlflow-port={ports[1]}", f"--config={home.config}")
    up = home.run("up", *options)
    assert up.returncode == 0, up.stdout + up.stderr
    yield Service(home, *(f"http://127.0.0.1:{port}" for port in ports))
    assert home.run("down").returncode == 0


@pytest.fixture(scope="module")
def page(service: Service) -> Iterator[Page]:
    """A browser that reaches this machine only, and fails the tests when a page wanted more."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "Chromium is needed: apt-get install chromium"
    asked_outside = []

    def only_here(route: Any) -> None:
        if re.match(r"(https?|wss?)://127\.0\.0\.1:", route.request.url):
            route.continue_()
        else:
            asked_outside.append(route.request.url)
            route.abort()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(90_000)
        expect.set_options(timeout=90_000)
        page.route(re.compile("^(http|ws)"), only_here)
        yield page
        browser.close()
    assert not asked_outside


def _field(page: Page, name: str) -> Locator:
    """The innermost part of the form that a setting has: its label, what it means, its input."""
    return page.locator(".schema-form-property", has=page.get_by_text(f"{name} (Optional)", exact=True)).last


@pytest.fixture(scope="module")
def night(service: Service, page: Page) -> str:
    """Id of a night that was started in the form, with another number of users."""
    page.goto(f"{service.prefect}/deployments")
    page.locator(f"a[href$='/deployments/deployment/{service.nightly['id']}']").first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    users = _field(page, "num_users")
    expect(users).to_contain_text("Accounts at the end of day num_days. (≥ 10, ≤ 5000000)")
    users.locator("input").fill("1")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("world.num_users").first).to_contain_text("1 is less than the minimum of 10")
    assert not service.runs(), "a number out of bounds started a run"
    users.locator("input").fill(str(USERS))
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url(re.compile(r"/deployments/deployment/[^/]+$|/deployments/deployment/[^/]+\?tab"))
    (run,) = service.started_by_hand()
    ended = service.ended(run)
    assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
    page.reload()  # The list leaves out what the worker has not begun, and asks again only now and then.
    expect(page.locator(f"a[href$='/runs/flow-run/{run}']").first).to_be_visible()
    assert ended["parameters"]["world"]["num_users"] == USERS
    return run


def test_the_night_is_seen_complete_by_its_day_with_every_stage(service: Service, page: Page, night: str):
    page.goto(f"{service.prefect}/runs/flow-run/{night}")
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible()
    expect(page.get_by_text("nightly 2026-01-12").first).to_be_visible()
    page.get_by_text("Task Runs", exact=True).first.click()
    for name in ("report", "release", "index shard 1 of 1"):
        page.get_by_placeholder("Search by run name").last.fill(name)
        expect(page.get_by_role("link", name=name, exact=True).first).to_be_visible()


def test_its_artifacts_can_be_read_and_their_links_lead_to_mlflow(service: Service, page: Page, night: str):
    page.goto(f"{service.prefect}/runs/flow-run/{night}?tab=Artifacts")
    page.get_by_text("Artifacts", exact=True).first.click()
    for key in ("night", "stages", "quality", "release", "report", "data-docs"):
        expect(page.get_by_text(key, exact=True).first).to_be_visible()
    page.get_by_text("night", exact=True).first.click()
    expect(page.get_by_text("NDCG@10", exact=True)).to_be_visible()
    for picture in page.locator("img[alt*='NDCG@10']").all():
        assert picture.evaluate("image => image.naturalWidth") > 100, "a plot does not show"
    links = {a.get_attribute("href") or "" for a in page.get_by_role("link").all()}
    (report,) = [link for link in links if link.startswith(service.mlflow) and link.endswith("report.html")]
    page.goto(report)
    expect(page.frame_locator("iframe").get_by_text("Night of 2026-01-12")).to_be_visible()
    (version,) = [link for link in links if link.startswith(f"{service.mlflow}/#/models/")]
    page.goto(version)
    expect(page.get_by_text("nightjar.date")).to_be_visible()


def test_the_same_night_again_is_cached(service: Service, page: Page, night: str):
    parameters = service.api(f"/flow_runs/{night}")["parameters"]
    again = service.api(f"/deployments/{service.nightly['id']}/create_flow_run", {"parameters": parameters})["id"]
    assert service.ended(again)["state_type"] == "COMPLETED"
    tasks = service.api("/task_runs/filter", {"flow_runs": {"id": {"any_": [again]}}})
    assert {t["name"]: t["state_name"] for t in tasks}.items() >= {"als": "Cached", "release": "Cached"}.items()
    page.goto(f"{service.prefect}/runs/flow-run/{again}")
    page.get_by_text("Task Runs", exact=True).first.click()
    expect(page.get_by_text("Cached", exact=True).first).to_be_visible()


def test_the_schedule_is_paused_and_resumed(service: Service, page: Page):
    until = time.monotonic() + 180
    for active in (False, True):
        while service.is_scheduled is not active:
            assert time.monotonic() < until, f"the schedule is not {'active' if active else 'paused'}"
            # A page that has not loaded all yet shows a switch, and forgets a click on it.
            page.goto(f"{service.prefect}/deployments/deployment/{service.nightly['id']}", wait_until="networkidle")
            page.locator(".p-toggle__control").first.click()
            patience = time.monotonic() + 10
            while service.is_scheduled is not active and time.monotonic() < patience:
                time.sleep(0.2)


def test_a_late_night_makes_up_for_the_missed_one_before_it(service: Service, night: str):
    """The machine was off from the 13th on: Prefect kept one run, nobody kept that of the 13th's night."""
    parameters = service.api(f"/flow_runs/{night}")["parameters"]
    as_shared = {**service.nightly["parameters"], "world": parameters["world"]}
    service.api(f"/deployments/{service.nightly['id']}", {"parameters": as_shared}, "PATCH")
    (late,) = service.late_runs("2026-01-15T00:00:00Z", "2026-01-16T00:00:00Z", 1)
    assert (late["name"], late["state_type"]) == ("nightly 2026-01-14", "COMPLETED")
    (made_up_for,) = [r for r in service.runs() if r["name"] == "nightly 2026-01-13"]
    assert (made_up_for["state_type"], "late" in made_up_for["tags"]) == ("COMPLETED", True)
    assert service.released() == [f"2026-01-{day}" for day in (12, 13, 14)]


@pytest.mark.soak
def test_late_nights_make_each_missed_day_once(service: Service, night: str):
    """Of two that Prefect kept, the first makes up for what the second would."""
    late = service.late_runs("2026-01-17T00:00:00Z", "2026-01-19T00:00:00Z", 2)
    ends = {r["name"]: r["state_type"] for r in late}
    assert ends == {"nightly 2026-01-16": "COMPLETED", "nightly 2026-01-17": "COMPLETED"}
    made_up_for = [r["name"] for r in service.runs() if "late" in r["tags"]]
    assert len(made_up_for) == len(set(made_up_for)) and "nightly 2026-01-15" in made_up_for


def test_a_day_that_the_log_lacks_yet_fails_with_one_clear_message(service: Service, night: str, tmp_path: Path):
    """The days that are missed by then are more than may be made up for; those of them are left out, and named."""
    log = tmp_path / "log.csv"
    log.write_text("user,item,time\n" + "".join(f"u{n},i{n},2026-01-{n:02d}T12:00:00Z\n" for n in range(10, 22)))
    source = {"source": {"kind": "table", "path": str(log)}}
    service.api(f"/deployments/{service.nightly['id']}", {"parameters": source}, "PATCH")
    (failed,) = service.late_runs("2026-02-02T00:00:00Z", "2026-02-03T00:00:00Z", 1)
    assert (failed["name"], failed["state_type"]) == ("nightly 2026-02-01", "FAILED")
    assert "night of 2026-02-01: the log ends on 2026-01-21; once it has the day" in failed["state"]["message"]
    until = time.monotonic() + 120  # what a run says reaches the server in batches
    while not any("missed and are left out" in line and "nightjar backfill" in line for line in service.said(failed)):
        assert time.monotonic() < until, service.said(failed)
        time.sleep(0.5)
