"""The site lists every result, shows bad rows as text, and loads nothing from anywhere."""

import multiprocessing
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from expectations.auditing import Audit, judge
from expectations.data_docs import build, keep
from expectations.datasets import USERS, WATCHES

DAYS = ("2026-03-01", "2026-03-02")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the site is that every test copies."""
    return tmp_path_factory.mktemp("once") / "docs"


@pytest.fixture
def site(once: Path, clean: Callable[..., Any], write: Callable[..., Any], tmp_path: Path) -> Path:
    if not once.exists():
        _make(once, clean, write)
    shutil.copytree(once, tmp_path / "docs")
    return tmp_path / "docs"


def _make(site: Path, clean: Callable[..., Any], write: Callable[..., Any]) -> None:
    rows = clean(WATCHES, DAYS[0])
    rows[3]["completion"], rows[4]["device_type"] = 1.5, "<script>alert(1)</script>"
    parts = {DAYS[0]: write(WATCHES, DAYS[0], rows), DAYS[1]: write(WATCHES, DAYS[1], clean(WATCHES, DAYS[1]))}
    keep(site, judge(WATCHES, parts, {}, {}))
    keep(site, judge(USERS, {DAYS[1]: write(USERS, DAYS[1], clean(USERS, DAYS[1]))}, {}, {}))
    build(site)


def keep_and_build(site: Path, audit: Audit, barrier: Any) -> None:
    for _ in range(50):
        barrier.wait(400)
        keep(site, audit)
    for _ in range(3):
        barrier.wait(400)
        build(site)


def results(site: Path, dataset: str) -> list[Path]:
    return list((site / "validations" / dataset).rglob("*.html"))


class Loads(HTMLParser):
    """Everything that a browser would load with a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "img", "iframe"):
            self.found.append(tag)


def test_the_index_lists_every_result(site: Path) -> None:
    index = (site / "index.html").read_text()
    links = re.findall(r'href="(validations/[^"]+)"', index)
    assert len(links) == 2 and all((site / link).exists() for link in links)
    assert index.count('"fas fa-times text-danger') == index.count('"fas fa-check-circle text-success') == 1


def test_a_page_shows_the_rows_that_break_a_rule(site: Path) -> None:
    (file,) = results(site, "watches")
    page = file.read_text()
    assert "error 2026-03-01: watch_id=3 completion=1.5" in page
    assert "warn 2026-03-01: watch_id=4 device_type=&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert (file.parent / re.findall(r'href="((?:\.\./)+index\.html)"', page)[0]).resolve() == site / "index.html"


def test_pages_load_nothing(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) == 5
    for page in pages:
        assert Loads(page.read_text()).found == []
        assert "url(" not in page.read_text()


def test_a_later_audit_takes_the_place_of_the_last(site: Path, clean: Any, write: Any) -> None:
    day = "2026-03-05"
    keep(site, judge(WATCHES, {day: write(WATCHES, day, clean(WATCHES, day))}, {}, {}))
    build(site)
    (file,) = results(site, "watches")
    assert day in file.as_posix() and "completion=1.5" not in file.read_text()
    assert results(site, "users")


@pytest.mark.parametrize("text", ["", '{"success": tr', "null", "[]", "{}", '{"suite_name": "x", "success": true}'])
def test_a_damaged_result_is_left_out_until_the_next_audit(site: Path, capsys: Any, text: str) -> None:
    kept = site / "results" / "watches.json"
    whole = kept.read_text()
    kept.write_text(text)
    build(site)
    assert not results(site, "watches") and results(site, "users")
    assert capsys.readouterr().err.count("watches.json is damaged") == 1
    kept.write_text(whole)
    build(site)
    assert results(site, "watches")


def test_several_runs_of_a_home_may_keep_and_build_at_once(site: Path, clean: Any, write: Any) -> None:
    day = "2026-03-05"
    audit = judge(WATCHES, {day: write(WATCHES, day, clean(WATCHES, day))}, {}, {})
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    runs = [context.Process(target=keep_and_build, args=(site, audit, barrier)) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(120)
    assert [run.exitcode for run in runs] == [0, 0]
    assert (site / "index.html").exists() and results(site, "users") and results(site, "watches")
