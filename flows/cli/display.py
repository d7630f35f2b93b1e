"""What a person sees while a night runs: a line a stage with state, seconds and rows, bars for long work."""

import threading
import time
from dataclasses import dataclass, field

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flows.cli.terminal import Console
from tasks.engine.running import Outcome, Watcher
from tasks.engine.stage import Step

MARKS = {"waiting": "·", "running": "▸", "ran": "✓", "cached": "=", "failed": "✗", "not run": "-"}
STYLES = {"running": "cyan", "ran": "green", "cached": "blue", "failed": "bold red", "waiting": "dim", "not run": "dim"}


@dataclass
class _Line:
    name: str
    state: str = "waiting"
    began: float = 0.0
    seconds: float = 0.0
    rows: int = 0
    days: str = ""
    done: int = 0
    total: int = 0
    what: str = ""


@dataclass
class Display(Watcher):
    """A live table on a terminal; one line for every finished stage elsewhere."""

    steps: list[Step]
    console: Console = field(default_factory=Console)
    live: Live | None = None

    def __post_init__(self) -> None:
        self._lines = {step.name: _Line(step.name) for step in self.steps}
        self._lock = threading.Lock()
        self.warnings: list[str] = []
        self._heading = "starting Prefect"
        self._began = time.monotonic()

    def __enter__(self) -> "Display":
        if self.console.is_terminal:
            self.live = Live(get_renderable=self._render, console=self.console, refresh_per_second=5)
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        for line in self._lines.values():
            if line.state in ("waiting", "running"):
                line.state = "not run"
        self._heading = ""
        if self.live:
            self.live.stop()

    def say(self, heading: str) -> None:
        """What the run as a whole is doing."""
        self._heading = heading
        if not self.live and heading:
            self.console.print(heading, style="dim")

    def started(self, step: Step, missing: int) -> None:
        with self._lock:
            line = self._lines[step.name]
            line.state, line.began = "running", time.monotonic()
            if len(step.cells) > 1:
                line.days = f"{missing} of {len(step.cells)} days"
        self._heading = ""

    def progressed(self, step: Step, done: int, total: int, what: str) -> None:
        with self._lock:
            line = self._lines[step.name]
            line.done, line.total, line.what = done, total, what

    def finished(self, outcome: Outcome) -> None:
        with self._lock:
            line = self._lines[outcome.step]
            line.state, line.seconds, line.rows = outcome.state, outcome.seconds, outcome.rows
            line.what, line.total = "", 0
            self.warnings += [f"{outcome.step}: {message}" for message in outcome.warnings]
            if outcome.warnings:
                line.what = f"{len(outcome.warnings)} warning{'s' * (len(outcome.warnings) > 1)}"
        self._heading = ""
        if not self.live:
            self.console.print(self._plain(line), highlight=False)

    def failed(self, step: Step, error: BaseException) -> None:
        with self._lock:
            self._lines[step.name].state = "failed"
        if not self.live:
            self.console.print(self._plain(self._lines[step.name]), highlight=False)

    def warned(self, sentence: str) -> None:
        self.warnings.append(sentence)

    def interrupted(self) -> None:
        self.__exit__()
        self.console.print("interrupted; what was published stands, the same command continues", style="yellow")

    def _plain(self, line: _Line) -> str:
        figures = f"{line.seconds:7.1f} s {line.rows:>12,} rows"
        return f"{MARKS[line.state]} {line.name:<20} {line.state:<8} {figures}  {line.days}"

    def table(self) -> Table:
        """The stage table as it stands."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name, justify in (
            ("", "left"),
            ("stage", "left"),
            ("state", "left"),
            ("seconds", "right"),
            ("rows", "right"),
        ):
            table.add_column(name, justify=justify)  # type: ignore[arg-type]
        table.add_column("", min_width=30)
        with self._lock:
            for line in self._lines.values():
                style = STYLES.get(line.state, "")
                now = time.monotonic() - line.began if line.state == "running" else line.seconds
                table.add_row(
                    Text(MARKS[line.state], style=style),
                    line.name,
                    Text(line.state, style=style),
                    f"{now:.1f}" if now or line.state == "cached" else "",
                    f"{line.rows:,}" if line.rows else "",
                    self._detail(line),
                )
        return table

    def _detail(self, line: _Line) -> Text | Table:
        if line.state != "running" or not line.total:
            return Text("  ".join(t for t in (line.days, line.what) if t), style="dim")
        detail = Table.grid(padding=(0, 1))
        detail.add_row(
            ProgressBar(total=line.total, completed=line.done, width=20),
            Text(f"{line.done}/{line.total} {line.what}", style="dim"),
        )
        return detail

    def _render(self) -> Group:
        elapsed = f"{time.monotonic() - self._began:.0f} s"
        return Group(self.table(), Text(f"{self._heading}  {elapsed}" if self._heading else elapsed, style="dim"))
