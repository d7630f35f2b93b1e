"""What people named is data: markup and escapes in titles, ids, reasons, tags and names do nothing, whichever door they
come to."""

import ast
import json
import re
from pathlib import Path

import pytest

from flows.cli.plain_text import visible
from flows.cli.terminal import Console, styled
from tasks.registry.ledger import Ledger
from tasks.registry.registry import MODEL, Registry
from tests.homes import ROOT, Home

HOSTILE = "[red]loud[/] [/] \x1b[31;1m\x1b]0;title\x07 \x9b2J \u202etxt.exe <img src=x onerror=alert(1)> | `a` \\"
"""One string for all doors: rich's markup, ANSI and C1 escapes, a turned direction, HTML, Markdown."""

DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def harmless(said: str) -> bool:
    """Whether it is shown as it is written, and nothing in it is for the terminal."""
    return not DANGEROUS.search(said) and "[red]loud[/]" in said and "\\x1b[31;1m" in said


def test_a_console_shows_what_it_is_given(capsys):
    from rich.table import Table
    from rich.text import Text
    from rich.tree import Tree

    table, tree = Table(HOSTILE, title=HOSTILE), Tree(HOSTILE)
    table.add_row(HOSTILE)
    tree.add(HOSTILE)
    for shown in (HOSTILE, table, tree, Text(HOSTILE), styled("[bold]{}[/]", HOSTILE)):
        Console(width=200).print(shown)
        assert harmless(capsys.readouterr().out), shown
    Console(width=200, force_terminal=True).print(styled("[red]{}[/]", "as meant"))
    assert capsys.readouterr().out == "\x1b[31mas meant\x1b[0m\n", "our own styles are styles"


def test_lines_and_tabs_stay_lines_and_tabs():
    assert visible("a\tb\nc é 語") == "a\tb\nc é 語"
    assert visible("a\rb\x1b[2J\x9b\u202e") == "a\\rb\\x1b[2J\\x9b\\u202e"


@pytest.fixture
def registry(tmp_path):
    """With one version that somebody has named, tagged and promoted in their words."""
    (tmp_path / "home").mkdir()
    registry = Registry(tmp_path / "home")
    registry.client.create_registered_model(MODEL)
    tags = {"nightjar.date": HOSTILE, "nightjar.evaluation": HOSTILE, "nightjar.bundle": HOSTILE}
    for given in ({"nightjar.date": "2026-03-01"}, tags):
        registry.client.create_model_version(MODEL, source=str(registry.home), tags=given, description=HOSTILE)
    return registry


@pytest.mark.parametrize(
    "command",
    [
        ("promote", "1", "--why", HOSTILE),
        ("promote", "2", "--why", HOSTILE),
        ("promote", f":{HOSTILE}", "--why", HOSTILE),
        ("history",),
        ("pull", HOSTILE, "--to", "nowhere"),
        ("pull", "/2", "--to", "nowhere"),
        ("recommend", "--user", HOSTILE, "--release", "/2"),
        ("similar", HOSTILE, "--release", "/2"),
        ("compare", "1", "2"),
        ("quarantine", "show", HOSTILE),
        ("run", HOSTILE),
        ("run", "--set", f"{HOSTILE}={HOSTILE}"),
        ("up", "--allow-hosts", HOSTILE),
        ("logs", HOSTILE),
        ("show", HOSTILE),
        ("key", "pin", HOSTILE),
        ("index", "add", HOSTILE),
        ("backfill", "status", HOSTILE),
        ("grid", "show", HOSTILE),
        (HOSTILE,),
    ],
    ids=lambda command: " ".join(command)[:24].replace("\x1b", ""),
)
def test_no_command_passes_it_on(tmp_path, registry, command):
    home = Home(tmp_path)
    Ledger(registry).move(1, HOSTILE)
    with_registry = {"promote", "history", "pull", "recommend", "similar", "compare"} & {command[0]}
    done = home.ask(*command, *(("--registry", registry.uri) if with_registry else ()))
    assert done.stdout + done.stderr and not DANGEROUS.search(done.stdout + done.stderr)


def test_history_says_a_reason_word_for_word(tmp_path, registry):
    Ledger(registry).move(1, HOSTILE)
    assert harmless(Home(tmp_path).ask("history", "--registry", registry.uri).stdout)
    told = json.loads(Home(tmp_path).ask("history", "--registry", registry.uri, "--json").stdout)
    assert told[0]["why"] == HOSTILE


def test_logs_and_the_display_of_a_night_show_it(tmp_path, capsys):
    from flows.cli.display import Display

    logs = tmp_path / "home/service/logs"
    logs.mkdir(parents=True)
    (logs / "mlflow.log").write_text(HOSTILE + "\n")
    assert harmless(Home(tmp_path).ask("logs").stdout)
    display = Display([], Console(width=200))
    display.say(HOSTILE)
    assert harmless(capsys.readouterr().out)


@pytest.mark.parametrize("path", sorted((ROOT / "flows").rglob("*.py")), ids=lambda p: p.stem)
def test_commands_print_through_one_door(path: Path):
    if path.name in ("plain_text.py", "terminal.py"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "rich.console":
            assert "Console" not in {name.name for name in node.names}
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "click":
            assert node.attr != "echo"


ATTACK = "<img src=x onerror=alert(1)><script>alert(1)</script>\"'>"


def _pages():
    from explorer import pages
    from explorer.plots import Point, points
    from tasks.pages.data import Figure, Listed, Person, ReportData, Section, Tile
    from tasks.pages.data import Table as Numbers
    from tasks.pages.page import render_report

    a = ATTACK
    yield pages.page(pages.heading(a, a), pages.card(a, pages.table([a], [[a]]), caption=a), a)
    yield pages.page(pages.tiles({a: (a, a)}), pages.chips([a]), pages.titled(a, a), pages.message(a))
    yield pages.page(pages.welcome(a, a), points([Point(0, 0, a, a), Point(1, 1, a, a)], [a], a, a))
    table = Numbers(key="t", title=a, columns=(a,), rows=((a,),), caption=a)
    person = Person(a, a, (Listed(a, a, a, a),), (Listed(a, a, a, a),))
    section = Section("data", a, a, a, (Figure(a, a, "<svg></svg>"),), (table,), (person,), ((a, a),), (a,))
    yield render_report(ReportData(a, "2026-03-01", a, (Tile(a, a, a),), (section,), (a,), (a,)))


@pytest.mark.parametrize("number", range(4))
def test_pages_show_it_as_words(number):
    shown = list(_pages())[number]
    assert "<img" not in shown and "<script>alert" not in shown and "&lt;img src=x onerror=alert(1)&gt;" in shown
