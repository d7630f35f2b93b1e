"""The explorer as people use it: `nightjar explore` over a home with a small night, in headless Chromium.

No page may ask anything of a machine but this one, nor say an error to the browser's console.
"""

import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from tests.servers import free_port


@dataclass
class Browser:
    """A page that reaches this machine only, and what went wrong in it."""

    page: Page
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def open(self, tab: str) -> Page:
        self.page.get_by_role("tab", name=tab, exact=True).click()
        return self.page

    def dismiss(self) -> None:
        """Close the warning that is shown for ten seconds above a part of the page."""
        self.page.locator(".toast-close").first.click()

    def look_at(self, user: str) -> None:
        """Type the id of a user on top of the page."""
        box = self.page.locator("#user input")
        box.click()
        box.fill(user)
        box.press("Enter")


def _serving(home: Any) -> tuple[Any, str]:
    """`nightjar explore` in a home, and its address once it answers."""
    port = free_port()
    running = home.command("explore", "--no-browser", f"--port={port}")
    until = time.monotonic() + 300
    while "Ctrl-C" not in running.out.read_text():
        assert running.process.poll() is None and time.monotonic() < until, running.err.read_text()
        time.sleep(0.2)
    assert f"http://127.0.0.1:{port}" in running.out.read_text()
    return running, f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "Chromium is needed: apt-get install chromium"
    expect.set_options(timeout=120_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def _page(chromium: Any, address: str) -> Browser:
    browser = Browser(chromium.new_page(viewport={"width": 1400, "height": 1000}))

    def only_here(route: Any) -> None:
        if re.match(r"(https?|wss?)://127\.0\.0\.1:", route.request.url):
            route.continue_()
        else:
            browser.outside.append(route.request.url)
            route.abort()

    browser.page.set_default_timeout(120_000)
    browser.page.route(re.compile("^(http|ws)"), only_here)
    browser.page.on("console", lambda m: browser.errors.append(m.text) if m.type == "error" else None)
    browser.page.on("pageerror", lambda e: browser.errors.append(str(e)))
    browser.page.goto(address)
    return browser


@pytest.fixture(scope="module")
def home(continued: Callable[..., Any], prefect: str) -> Any:
    """A home with one release, in which the explorer may write."""
    home = continued(prefect=prefect)
    done = home.night()
    assert done.returncode == 0, done.stdout + done.stderr
    return home


@pytest.fixture(scope="module")
def server(home: Any) -> Iterator[str]:
    running, address = _serving(home)
    yield address
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(180) == 0, "Ctrl-C is a clean end"
    assert "Traceback" not in running.err.read_text()


@pytest.fixture(scope="module")
def browser(chromium: Any, server: str) -> Iterator[Browser]:
    browser = _page(chromium, server)
    expect(browser.page.locator("#user input")).not_to_have_value("")
    yield browser
    assert not browser.outside
    assert not browser.errors


def _titles(box: Locator) -> list[str]:
    """Titles in a list that is shown."""
    expect(box.locator("tbody .title").first).to_be_visible()
    return [str(t) for t in box.locator("tbody .title").all_inner_texts()]


def test_a_user_has_a_history_a_list_with_reasons_scores_and_what_was_left_out(browser: Browser):
    page = browser.open("Recommend")
    expect(page.locator("#recommend-person")).to_contain_text("liked in the window, newest first")
    assert len(_titles(page.locator("#recommend-person .card").nth(1))) == 10
    expect(page.locator("#recommend-stages")).to_contain_text("fused retrieval")
    expect(page.locator("#recommend-stages")).to_contain_text("item_item")
    expect(page.locator("#recommend-left-out")).to_contain_text("in the list")
    expect(page.locator("#recommend-left-out")).to_contain_text(re.compile("seen|region|tier|maturity"))


def test_somebody_else_is_somebody_else(browser: Browser):
    page = browser.open("Recommend")
    before = page.locator("#recommend-person h2").inner_text()
    page.locator("#other").click()
    expect(page.locator("#recommend-person h2")).not_to_have_text(before)


def test_a_user_nobody_knows_gets_what_somebody_new_gets_and_is_told_so(browser: Browser):
    page = browser.open("Recommend")
    browser.look_at("nobody-at-all")
    expect(page.locator("#recommend-person")).to_contain_text(
        "nobody-at-all is not known to this release: the list of somebody new"
    )
    assert len(_titles(page.locator("#recommend-person .card").nth(1))) == 10
    page.locator("#other").click()
    expect(page.locator("#recommend-person")).to_contain_text("liked in the window")


def test_somebody_new_tells_a_history_by_title_and_a_wrong_one_is_named(browser: Browser):
    page = browser.open("Recommend")
    title = _titles(page.locator("#recommend-person .card").nth(1))[0]
    page.get_by_text("Somebody new: attributes and a history").click()
    page.locator("#history textarea").fill(title.upper())
    page.locator("#ask-new").click()
    expect(page.locator("#recommend-person h2")).to_contain_text("Somebody new")
    expect(page.locator("#recommend-person .card").first).to_contain_text(title)
    page.locator("#history textarea").fill(f"{title}, no such thing")
    page.locator("#ask-new").click()
    expect(page.locator("#recommend-person .message")).to_contain_text("no item 'no such thing' in release 1")
    browser.dismiss()
    page.locator("#other").click()
    expect(page.locator("#recommend-person")).to_contain_text("liked in the window")


def _turn(page: Page, knob: str, value: str) -> None:
    box = page.locator(f"#knob-{knob} input[type=number]")
    box.fill(value)
    box.press("Enter")


def test_a_knob_changes_the_list_at_once_and_is_judged_over_all(browser: Browser):
    page = browser.open("Knobs")
    before = _titles(page.locator("#turned"))
    _turn(page, "order-mmr_lambda", "0.1")
    expect(page.locator("#turned")).to_contain_text("pipeline.order.mmr_lambda=0.1")
    assert _titles(page.locator("#turned")) != before
    page.locator("#judge").click()
    expect(page.locator("#judged")).to_contain_text("difference, interval")
    made_by = re.compile(r"nightjar run \S+\.yaml .*--set system=fusion --set pipeline\.order\.mmr_lambda=0\.1")
    expect(page.locator("#judged")).to_contain_text(made_by)
    expect(page.locator("#judged")).not_to_contain_text("CONFIG.yaml")
    page.locator("#reset").click()
    expect(page.locator("#turned")).to_contain_text("as released")
    assert _titles(page.locator("#turned")) == before


def test_settings_that_do_not_go_together_are_explained(browser: Browser):
    page = browser.open("Knobs")
    _turn(page, "pool_size", "5")
    expect(page.locator("#turned .message")).to_contain_text("pool_size is 5; it must be at least k, which is 10")
    page.locator("#reset").click()
    expect(page.locator("#turned")).to_contain_text("as released")


def test_a_release_beside_itself_under_other_settings(browser: Browser):
    _turn(browser.open("Knobs"), "order-mmr_lambda", "0.1")
    expect(browser.page.locator("#turned")).to_contain_text("pipeline.order.mmr_lambda=0.1")
    page = browser.open("Compare")
    expect(page.locator("#compare-one .message")).to_contain_text("choose two or three")
    page.locator("#with-knobs").get_by_role("checkbox").check()
    expect(page.locator("#compare-one")).to_contain_text("items are in both release 1 and the knobs' settings")
    expect(page.locator("#compare-all")).to_contain_text("NDCG by segment")
    expect(page.locator("#compare-all svg[aria-label*='NDCG']")).to_be_visible()
    browser.open("Knobs").locator("#reset").click()


def test_items_in_a_plane_and_a_click_that_shows_the_nearest(browser: Browser):
    page = browser.open("Embedding space")
    expect(page.locator("#space circle").nth(200)).to_be_attached()
    page.locator("#space circle").nth(100).dispatch_event("click", {"bubbles": True})
    expect(page.locator("#nearest")).to_contain_text("Nearest to")
    expect(page.locator("#space circle[r='7']").first).to_be_attached()
    expect(page.locator("#clusters")).to_contain_text("group 6")
    page.locator("#item textarea, #item input").first.fill("no such thing")
    page.locator("#neighbours").click()
    expect(page.locator("#nearest .message")).to_contain_text("no item 'no such thing'")


def test_a_sweep_is_a_table_effects_and_a_front(browser: Browser, home: Any):
    page = browser.open("Grid")
    expect(page.locator("#grid")).to_contain_text("No sweep yet")
    folder = home.path / "home/grids/20260101T000000-beef"
    folder.mkdir(parents=True)
    rows = [{"rank": 1, "pipeline.k": k, "als.factors": f, "ndcg@10": 0.1 + k / 100, "coverage@10": 0.5 / f}
            for k in (5, 10) for f in (8, 16, 32)]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), folder / "results.parquet")
    step = {"sweep": "fusion", "parameter": "als.factors", "before": "16", "after": "32", "metric": "ndcg@10",
            "difference": 0.01, "low": -0.01, "high": 0.03, "pairs": 2, "same_sign": 0.5}  # fmt: skip
    pq.write_table(pa.Table.from_pylist([step]), folder / "effects.parquet")
    browser.open("Night")
    page = browser.open("Grid")
    expect(page.locator("#grid")).to_contain_text("6 combinations of pipeline.k, als.factors")
    expect(page.locator("#grid svg[aria-label*='factors 16 → 32']")).to_be_visible()
    expect(page.locator("#grid polyline")).to_be_attached()


def test_title_and_button_at_the_top_have_room(browser: Browser):
    page = browser.open("Grid")
    assert page.locator(".nj.head h2").evaluate("title => title.scrollWidth <= title.clientWidth")
    margin = """button => {
        const text = document.createRange();
        text.selectNodeContents(button);
        return text.getBoundingClientRect().left - button.getBoundingClientRect().left;
    }"""
    assert page.locator("#other").evaluate(margin) > 10


def test_impossible_settings_start_no_night(browser: Browser):
    page = browser.open("Night")
    page.locator("#settings textarea").fill("towers.dimm=3")
    page.locator("#train").click()
    expect(page.get_by_text("unknown key towers.dimm, did you mean dim?").first).to_be_visible()
    expect(page.locator("#night")).to_contain_text("No night under way")


def test_an_empty_home_offers_to_make_data_which_can_be_cancelled(chromium: Any, make_home: Callable[[], Any]):
    running, address = _serving(make_home())
    browser = _page(chromium, address)
    expect(browser.page.locator("#night")).to_contain_text("This home is empty")
    for tab in ("Recommend", "Compare", "Knobs", "Embedding space"):
        expect(browser.open(tab).get_by_text("No release yet").locator("visible=true")).to_have_count(1)
    page = browser.open("Night")
    page.locator("#make-data").click()
    expect(page.locator("#night")).to_contain_text("Making data: running")
    expect(page.locator("#night")).to_contain_text("catalogue")
    page.locator("#cancel").click()
    expect(page.locator("#night")).to_contain_text("Cancelled. What was published stands")
    page.close()
    assert not browser.outside and not browser.errors
    children = psutil.Process(running.process.pid).children(recursive=True)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(180) == 0
    assert not [p for p in psutil.wait_procs(children, timeout=90)[1] if p.is_running()], "something outlived it"
