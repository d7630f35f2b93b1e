"""What people see of a backfill while and after it runs: a calendar, what runs now, what failed and why."""

import threading
import time
from dataclasses import dataclass, field
from datetime import date as Date
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flows.backfilling.listener import Listener
from flows.backfilling.state import Backfill, DayState, counts
from flows.cli.terminal import Console

MARKS = {
    "planned": ("·", "dim"),
    "queued": ("·", "cyan"),
    "running": ("▸", "bold cyan"),
    "succeeded": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "interrupted": ("!", "yellow"),
    "skipped": ("-", "blue"),
    "stale": ("~", "yellow"),
}


def whole(one: Backfill, days: list[DayState]) -> RenderableType:
    """A backfill as it stands: calendar, progress, what runs, what failed."""
    parts: list[RenderableType] = [
        Text.assemble((f"backfill {one.id}", "bold"), f"  {one.state(days)}"),
        calendar(days),
        progress(days),
    ]
    running = [d for d in days if d.state == "running"]
    parts += [_running(d) for d in running]
    for day in (
        d for d in days if d.state in ("failed", "interrupted", "stale") or (d.state == "skipped" and d.reason)
    ):
        if day.state == "skipped" and day.reason.startswith("cached"):
            continue
        mark, style = MARKS[day.state]
        parts.append(Text(f"{mark} {day.day} {day.state}: {day.reason}", style=style))
    if any(d.state not in ("succeeded", "running") for d in days) and not one.is_driven:
        parts.append(Text(f"resume: nightjar backfill resume {one.id}", style="dim"))
    return Group(*parts)


def calendar(days: list[DayState]) -> Table:
    """Weeks as rows, Monday first, a mark for every day."""
    states = {Date.fromisoformat(d.day): d for d in days}
    first = min(states)
    monday = first - timedelta(days=first.weekday())
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("week of", "Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"):
        table.add_column(name, no_wrap=True)
    while monday <= max(states):
        row: list[RenderableType] = [Text(monday.isoformat(), style="dim")]
        for n in range(7):
            state = states.get(monday + timedelta(days=n))
            mark, style = MARKS[state.state] if state else (" ", "")
            row.append(Text(f"{(monday + timedelta(days=n)).day:2d}{mark}" if state else "", style=style))
        table.add_row(*row)
        monday += timedelta(days=7)
    return table


def progress(days: list[DayState]) -> Table:
    """How many days are done, and how long the rest should take at the pace so far."""
    done = [d for d in days if d.state in ("succeeded", "skipped", "failed")]
    seconds = [d.seconds for d in done if d.seconds is not None]
    left = [d for d in days if d.state in ("planned", "queued", "running")]
    line = Table.grid(padding=(0, 1))
    told = "  ".join(f"{n} {state}" for state, n in counts(days).items())
    rest = f"  about {sum(seconds) / len(seconds) * len(left):.0f} s of work left" if seconds and left else ""
    line.add_row(
        ProgressBar(total=len(days), completed=len(done), width=30), Text(f"{len(done)}/{len(days)}  {told}{rest}")
    )
    return line


def _running(day: DayState) -> Text:
    now = [name for name, stage in day.stages.items() if stage.state == "running"]
    done = sum(s.state in ("succeeded", "skipped") for s in day.stages.values())
    return Text(f"▸ {day.day}  {done}/{len(day.stages)} stages  {', '.join(now)}", style="cyan")


@dataclass
class BackfillDisplay(Listener):
    """A live calendar on a terminal; elsewhere one line for every day that has ended."""

    one: Backfill
    quiet: bool = False
    console: Console = field(default_factory=Console)
    live: Live | None = None

    def __post_init__(self) -> None:
        self._days: dict[str, DayState] = {}
        self._told: dict[str, str] = {}
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def __enter__(self) -> "BackfillDisplay":
        if self.console.is_terminal and not self.quiet:
            self.live = Live(get_renderable=self._render, console=self.console, refresh_per_second=4)
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()
        elif not self.quiet and self._days:
            self.console.print(progress(self._sorted()))

    def planned(self, days: list[DayState]) -> None:
        with self._lock:
            self._days = {d.day: d for d in days}
        if not self.live and not self.quiet:
            told = "  ".join(f"{n} {state}" for state, n in counts(days).items())
            self.console.print(f"{len(days)} days: {told}", highlight=False)

    def changed(self, day: DayState) -> None:
        with self._lock:
            self._days[day.day] = day
            told, self._told[day.day] = self._told.get(day.day), day.state
        if self.live or self.quiet or told == day.state or day.state in ("planned", "queued", "running"):
            return
        if told is None and day.state == "skipped" and day.reason.startswith("cached"):
            return
        ran = sum(s.state == "succeeded" for s in day.stages.values())
        seconds = "" if day.seconds is None else f"{day.seconds:7.1f} s  {ran} stages ran"
        reason = f"  {day.reason}" if day.reason else ""
        self.console.print(
            f"{MARKS[day.state][0]} {day.day} {day.state:<11} {seconds}{reason}", highlight=False, soft_wrap=True
        )

    def interrupted(self) -> None:
        self.__exit__()
        self.console.print(
            f"interrupted; what was published stands: nightjar backfill resume {self.one.id}", style="yellow"
        )

    def _sorted(self) -> list[DayState]:
        with self._lock:
            return [self._days[d] for d in sorted(self._days)]

    def _render(self) -> RenderableType:
        days = self._sorted()
        if not days:
            return Text(f"planning  {time.monotonic() - self._began:.0f} s", style="dim")
        return whole(self.one, days)
