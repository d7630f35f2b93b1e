"""The commands that the report prints do what it says: they read its figures, and compute them to the last digit."""

import csv
import html
import re
import shlex
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def home(make_home):
    """A home of its own: the commands leave runs behind."""
    home = make_home()
    done = home.night()
    assert done.returncode == 0, done.stdout + done.stderr
    return home


@pytest.fixture(scope="module")
def page(home) -> str:
    return Path(home.record()["release"]["report"]).read_text()


def _commands(page: str, chapter: str) -> list[list[str]]:
    section = page[page.index(f'<section id="{chapter}">') :]
    box = section[section.index('<dl class="commands"') :].partition("</dl>")[0]
    return [shlex.split(html.unescape(code)) for code in re.findall("<code>(.*?)</code>", box)]


def _run(home, command: list[str]) -> None:
    program, *arguments = command
    assert program == "nightjar"
    done = home.run(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_quality_chapter_is_read_by_its_command(home, page, tmp_path):
    reading = _commands(page, "quality")[0]
    reading[reading.index("--to") + 1] = str(tmp_path / "evaluation.csv")
    _run(home, reading)
    with (tmp_path / "evaluation.csv").open() as file:
        rows = list(csv.DictReader(file))
    (final,) = [r for r in rows if (r["system"], r["segment"], r["metric"], r["k"]) == ("final", "all", "ndcg", "10")]
    assert f'<span class="figure">{float(final["value"]):.3f}</span>' in page


def test_the_quality_chapter_is_computed_again_to_the_last_digit(home, page):
    before = {name: digest for name, digest in home.digests().items() if name.startswith("evaluation")}
    _run(home, _commands(page, "quality")[-1])
    assert home.states()["evaluation"] == "ran"
    assert {n: d for n, d in home.digests().items() if n.startswith("evaluation")} == before


def test_a_model_card_stands_beside_the_report_and_the_version(home, page):
    record = home.record()
    card = (Path(record["release"]["report"]).parent / "model_card.md").read_text()
    assert card.startswith(f"# Model card: nightjar-recommender {record['release']['version']}, night of ")
    assert f"nightjar run {home.config} --date" in card
