"""The page itself: one HTML file that needs no server, no network and no script."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.pages.commands import with_its_config
from tasks.pages.data import Cell, ReportData, RunFacts, Table

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATE = Path(__file__).with_name("report.html.j2")
GRID_TEMPLATE = "grid.html.j2"


def template_digest() -> str:
    """Says which template made a page: it is no code, so the stage's key would not see it change."""
    return hashlib.sha256(TEMPLATE.read_bytes()).hexdigest()[:16]


def render_report(data: ReportData, run: RunFacts | None = None) -> str:
    """The page of a night; with `run`, also what differs from run to run (seconds, version, latencies)."""
    longest = max((s.seconds for s in run.stages), default=0.0) if run else 0.0
    return _environment().get_template(TEMPLATE.name).render(data=data, run=run, longest=longest or 1.0)


def render_grid(data: ReportData, command: str) -> str:
    """The page of a sweep, which has a head of its own and is else made like a night's.

    Args:
        command: makes the sweep, and so every figure of the page, again.
    """
    return _environment().get_template(GRID_TEMPLATE).render(data=data, run=None, longest=1.0, command=command)


def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "alignment": _alignment, "cell": format_cell, "known": _known, "mib": _mib, "prose": _prose, "rows": _grouped,
        "seconds": _seconds, "svg": Markup,
    }  # fmt: skip
    return environment


def tables_of(data: ReportData) -> list[tuple[str, str, list[dict[str, str]]]]:
    """Key, title and rows of every table of the report."""
    tables = (table for section in data.sections for table in section.tables)
    return [(t.key, t.title, [dict(zip(t.columns, _formatted(t, row), strict=True)) for row in t.rows]) for t in tables]


def _formatted(table: Table, row: tuple[Cell, ...]) -> list[str]:
    return [format_cell(cell, table.digits) for cell in row]


def format_cell(cell: Cell, digits: int) -> str:
    """Whole numbers with separators, others with `digits` decimals, an en dash for what is not there."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:.{digits}f}"
    return _grouped(cell) if isinstance(cell, int) else cell


def _alignment(table: Table) -> list[str]:
    """The class of each column: numbers stand to the right, also where one is missing."""
    columns = zip(*table.rows, strict=True) if table.rows else [()] * len(table.columns)
    return ["number" if any(isinstance(cell, int | float) for cell in column) else "words" for column in columns]


def _prose(text: str) -> "Markup":
    """Text with `code` in backticks."""
    from markupsafe import Markup, escape

    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(p) if n % 2 else p for n, p in enumerate(parts))


def _grouped(value: int) -> str:
    return f"{value:,}"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.1f} min"


def _known(command: str, run: RunFacts | None) -> str:
    """A command with this night's own config in it, where that is known."""
    return with_its_config(command, run.command if run else "")


def _mib(value: int) -> str:
    return f"{value / 2**20:,.0f} MiB" if value else "–"
