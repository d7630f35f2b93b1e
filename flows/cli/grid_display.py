"""What people see of a sweep: how far it is, and the table of what came out."""

import threading
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flows.cli.terminal import Console, styled
from flows.grid.driver import Listener
from flows.grid.metrics import YARDSTICKS
from flows.grid.results import Judged, table_for_people
from flows.grid.rows import short_names
from flows.grid.state import Sweep
from tasks.engine.running import Outcome
from tasks.engine.stage import Step

SHOWN = 20
"""Rows of the printed table."""


class GridDisplay(Listener):
    """On a terminal a line of progress with what runs below it; elsewhere a line for every tenth configuration."""

    def __init__(self, console: Console) -> None:
        self.console, self.live = console, None if not console.is_terminal else Live(
            get_renderable=self._render, console=console, refresh_per_second=5
        )  # fmt: skip
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._total = self._done = self._failed = 0
        self._last, self._heading = "", "starting Prefect"
        self._running: dict[str, str] = {}

    def __enter__(self) -> "GridDisplay":
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._heading, self._running = "", {}
        if self.live:
            self.live.stop()

    def begins(self, sweep: Sweep, total: int) -> None:
        self._total, self._heading = total, ""
        told = "grid {}; the same command continues it, [bold]nightjar grid show {}[/] shows it"
        self.console.print(styled(told, sweep.id, sweep.id))

    def judged(self, row: Judged) -> None:
        with self._lock:
            self._done += 1
            self._failed += bool(row.error)
            self._last = row.trial.row.name + (f": {row.error}" if row.error else "")
            told = row.error or not self._done % 10 or self._done == self._total
            line = f"{self._done:>5} of {self._total}  {time.monotonic() - self._began:6.0f} s  {self._last}"
        if told and not self.live:
            self.console.print(line, highlight=False, soft_wrap=True)

    def concluding(self) -> None:
        self._heading = "drawing up the report"

    def started(self, step: Step, missing: int) -> None:
        if step.name != "trial":
            with self._lock:
                self._running[step.name] = ""

    def progressed(self, step: Step, done: int, total: int, what: str) -> None:
        if step.name != "trial":
            with self._lock:
                self._running[step.name] = f"{done}/{total} {what}"

    def finished(self, outcome: Outcome) -> None:
        with self._lock:
            self._running.pop(outcome.step, None)
        if not self.live and outcome.step != "trial" and outcome.state == "ran":
            self.console.print(f"✓ {outcome.step:<20} {outcome.seconds:7.1f} s", highlight=False)

    def failed(self, step: Step, error: BaseException) -> None:
        with self._lock:
            self._running.pop(step.name, None)

    def interrupted(self) -> None:
        self.__exit__()
        self.console.print("interrupted; what was judged stands, the same command continues", style="yellow")

    def _render(self) -> RenderableType:
        with self._lock:
            line = Table.grid(padding=(0, 1))
            words = f"{self._done}/{self._total} configurations" + (f", {self._failed} failed" * bool(self._failed))
            line.add_row(ProgressBar(total=max(self._total, 1), completed=self._done, width=30), words, self._last)
            running = [Text(f"▸ {name}  {what}", style="cyan") for name, what in self._running.items()]
            elapsed = f"{self._heading}  {time.monotonic() - self._began:.0f} s".strip()
            return Group(line, *running, Text(elapsed, style="dim"))


def print_results(folder: Path, console: Console) -> None:
    """The ranked table, the best by each figure, what each parameter does, and where everything is."""
    rows = table_for_people(folder / "results.parquet")
    figures = [name for name in rows[0] if name.startswith(("study_", "ndcg@"))]
    console.print(_ranked(rows[:SHOWN], console.width))
    if len(rows) > SHOWN:
        console.print(f"... {len(rows) - SHOWN} more in results.parquet", style="dim")
    console.print("precision, diversity, combined: of genres, as in the study (docs/grid.md)", style="dim")
    console.print()
    for name in figures:
        best = max((row for row in rows if row.get(name) is not None), key=lambda row: row[name])
        console.print(f"best {name:<19} {best[name]:.4f}  {_chosen(best)}", highlight=False)
    beside = pq.read_table(folder / "results.parquet").slice(0, 1).to_pylist()[0]
    for name in (f"{system}_{figures[-1]}" for system in YARDSTICKS):
        if beside.get(name) is not None:
            console.print(f"{name.replace('_', ' ', 1):<24} {beside[name]:.4f}", highlight=False)
    console.print()
    console.print(_effects(pq.read_table(folder / "effects.parquet").to_pylist(), figures[-1]))
    console.print()
    for words, name in (("report", "report.html"), ("winner", "winner.yaml"), ("winners", "winners"),
                        ("results", "results.parquet"), ("effects", "effects.parquet")):  # fmt: skip
        console.print(f"{words:<10}{folder / name}", highlight=False, soft_wrap=True)


def _chosen(row: dict[str, Any]) -> str:
    axes = {n: v for n, v in row.items() if n not in ("rank", "sweep", "seconds") and "@" not in n}
    words = short_names(axes)
    return row["sweep"] + "".join(f" {words[name]}={value}" for name, value in axes.items())


def _ranked(rows: list[dict[str, Any]], width: int) -> Table:
    """A table of as many columns as fit: what was chosen, then the figures in their order."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    names.sort(key=lambda name: ("@" in name) + 2 * (name == "seconds"))
    shorter = short_names(name for name in names if "@" not in name)
    table, kept, room = Table(box=None, pad_edge=False, header_style="bold"), list[str](), width
    for name in names:
        words = shorter.get(name, name.removeprefix("study_"))
        wanted = 1 + max(len(words), *(len(_cell(row.get(name), name)) for row in rows))
        if ("@" in name or name == "seconds") and wanted > room:
            break
        table.add_column(words, justify="left" if name == "sweep" else "right", overflow="fold")
        kept.append(name)
        room -= wanted
    for row in rows:
        table.add_row(*(_cell(row.get(name), name) for name in kept))
    return table


def _cell(value: Any, name: str) -> str:
    if isinstance(value, float) and ("@" in name):
        return f"{value:.4f}"
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _effects(rows: list[dict[str, Any]], ndcg: str) -> Table:
    """A table of what each parameter does, from its first value to its last, to the figures that decide most."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("sweep", "parameter", "from", "to", "figure", "effect", "interval", "pairs", "matters"):
        table.add_column(name, justify="left" if name in ("sweep", "parameter", "figure", "matters") else "right")
    widest: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:  # the last step told of a parameter is the widest
        widest[row["sweep"], row["parameter"], row["metric"]] = row
    for row in widest.values():
        if row["metric"] in ("study_combined@k", "ndcg@k", ndcg):
            shown = row["low"] > 0 or row["high"] < 0
            table.add_row(
                row["sweep"], row["parameter"], str(row["before"]), str(row["after"]), row["metric"],
                f"{row['difference']:+.4f}", f"{row['low']:+.4f} {row['high']:+.4f}", str(row["pairs"]),
                "yes" if shown else "not shown",
            )  # fmt: skip
    return table
