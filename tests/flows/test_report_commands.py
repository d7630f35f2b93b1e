"""The commands that the report prints do what it says: they read its figures, and compute them to the last digit."""

import csv
import html
import re
import shlex

import pytest


@pytest.fixture(scope="module")
def home(continued, prefect):
    """A home of its own: the commands leave runs behind."""
    home = continued(prefect=prefect)
    done = home.night()
    assert done.returncode == 0, done.stdout + done.stderr
    return home


@pytest.fixture(scope="module")
def page(home) -> str:
    return (home.path / "home" / home.record()["release"]["report"]).read_text()


def _chapters(page: str) -> list[str]:
    """Those with figures; what the gates said and how long this very run took are its own."""
    return [
        name for name in re.findall('<section id="([^"]+)">', page) if '<dl class="commands"' in _chapter(page, name)
    ]


def _chapter(page: str, name: str) -> str:
    return page[page.index(f'<section id="{name}">') :].partition("</section>")[0]


def _forced(command: list[str]) -> list[str]:
    return [command[n + 1] for n, part in enumerate(command) if part == "--force"]


def _commands(page: str, chapter: str) -> list[list[str]]:
    box = _chapter(page, chapter).partition('<dl class="commands"')[2].partition("</dl>")[0]
    return [shlex.split(html.unescape(code)) for code in re.findall("<code>(.*?)</code>", box)]


def _run(home, command: list[str]) -> None:
    program, *arguments = command
    assert program == "nightjar"
    done = home.run(*arguments) if arguments[0] == "run" else home.ask(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_quality_chapter_is_read_by_its_command(home, page, tmp_path):
    reading = _commands(page, "quality")[0]
    reading[reading.index("--to") + 1] = str(tmp_path / "evaluation.csv")
    _run(home, reading)
    with (tmp_path / "evaluation.csv").open() as file:
        rows = list(csv.DictReader(file))
    (final,) = [r for r in rows if (r["system"], r["segment"], r["metric"], r["k"]) == ("final", "all", "ndcg", "10")]
    assert f'<span class="figure">{float(final["value"]):.3f}</span>' in page


def test_every_chapter_is_read_by_the_commands_that_it_prints(home, page, tmp_path):
    reading = {shlex.join(command): command for chapter in _chapters(page) for command in _commands(page, chapter)[:-1]}
    assert len(reading) >= 8
    for number, command in enumerate(reading.values()):
        if "--to" in command:
            place = command.index("--to") + 1
            command[place] = str(table := tmp_path / f"{number}-{command[place]}")
        _run(home, command)
        if "--to" in command:
            assert table.stat().st_size > 0


def test_every_chapter_is_computed_again_to_the_last_digit(home, page):
    """Run once with what all chapters ask for: the content of every stage, and so of every figure, is the same."""
    anew = [_commands(page, chapter)[-1] for chapter in _chapters(page)]
    command, forced = anew[0][: anew[0].index("--force")], {stage for one in anew for stage in _forced(one)}
    assert all(one[: len(command)] == command for one in anew)
    before = home.digests()
    _run(home, [*command, *(part for stage in sorted(forced) for part in ("--force", stage))])
    assert {name for name, state in home.states().items() if state == "ran"} >= forced
    assert forced == {"evaluation", "index", "ranker", "recommendations", "report", "towers"}
    assert home.digests() == before
    again = (home.path / "home" / home.record()["release"]["report"]).read_text()
    for chapter in _chapters(page):
        assert _chapter(again, chapter) == _chapter(page, chapter)


def test_a_model_card_stands_beside_the_report_and_the_version(home, page):
    record = home.record()
    card = ((home.path / "home" / record["release"]["report"]).parent / "model_card.md").read_text()
    assert card.startswith(f"# Model card: nightjar-recommender {record['release']['version']}, night of ")
    assert f"nightjar run {home.config} --date" in card
