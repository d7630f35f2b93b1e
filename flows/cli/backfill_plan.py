"""The work list of a backfill as people and programs read it, before anything runs."""

from typing import Any

from rich.table import Table
from rich.text import Text

from flows.backfilling.request import BackfillRequest
from flows.backfilling.work import DayWork
from flows.cli.terminal import Console

LETTERS = {"missing": ("R", "yellow"), "stale": ("S", "magenta"), "cached": ("=", "blue")}


def print_work(request: BackfillRequest, days: list[DayWork]) -> None:
    """The work list: one line a day, one letter a stage, what is behind it and how long it should take."""
    console = Console(width=None if Console().is_terminal else 180)
    names = next(([s.stage for s in d.stages] for d in days if d.plan), [])
    for number, name in enumerate(names):
        console.print(Text("  " + "|" * number + "+" + "-" * (len(names) - number) + f" {name}", style="dim"))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("day", no_wrap=True)
    table.add_column("stages", no_wrap=True)
    table.add_column("")
    table.add_column("seconds", justify="right")
    table.add_column("why", overflow="fold")
    for day in sorted(days, key=lambda d: d.day):
        letters = Text("").join(Text(*LETTERS[s.kind]) for s in day.stages)
        seconds = "" if day.seconds is None else f"{day.seconds:.0f}{'' if day.is_estimated_whole else '+'}"
        table.add_row(day.day, letters, _verdict(day, request), seconds, _why(day))
    console.print(table)
    run = [d for d in days if d.runs(request.rerun)]
    cells = sum(len(s.cells) for d in run for s in d.stages)
    known = [d.seconds for d in run if d.seconds is not None]
    about = "about" if all(d.is_estimated_whole for d in run) else "at least"
    estimate = (
        f", {about} {sum(known) / request.max_parallel:.0f} s from past runs"
        if known
        else ", no past run to estimate from"
    )
    console.print(
        f"\nR runs (missing)  S runs (stale)  = cached\n{len(run)} of {len(days)} days would run, "
        f"{cells} artifacts to make{estimate if run else ''}",
        highlight=False,
    )


def work_as_json(request: BackfillRequest, days: list[DayWork]) -> dict[str, Any]:
    """The work list as JSON types."""
    return {
        "start": request.start,
        "end": request.end,
        "rerun": list(request.rerun),
        "days": [
            {
                "day": day.day,
                "runs": day.runs(request.rerun),
                "seconds": day.seconds,
                "reason": day.refused or day.failed,
                "stages": [
                    {
                        "stage": s.stage,
                        "state": s.kind,
                        "dates": [c.date for c in s.cells],
                        "why": s.why,
                        "seconds": s.seconds,
                    }
                    for s in day.stages
                ],
            }
            for day in days
        ],
    }


def _verdict(day: DayWork, request: BackfillRequest) -> Text:
    if day.plan is None:
        return Text("skipped", style="red")
    if day.runs(request.rerun):
        return Text("run", style="yellow")
    return Text("stale, stays" if "stale" in day.kinds else "left out" if day.kinds else "cached", style="blue")


def _why(day: DayWork) -> str:
    """The reasons of the stages that run; those that only follow from them are left out."""
    if day.refused:
        return day.refused
    reasons: dict[str, list[str]] = {}
    for stage in day.stages:
        if stage.kind != "cached" and not stage.why.startswith("input "):
            count = f" ({len(stage.cells)} days)" if len(stage.cells) > 2 else ""
            reasons.setdefault(stage.why, []).append(stage.stage + count)
    told = [
        f"{', '.join(names) if len(names) < 5 else f'{len(names)} stages'}: {why}" for why, names in reasons.items()
    ]
    failed = [f"last run failed: {day.failed.splitlines()[0]}"] if day.failed and day.kinds else []
    return "; ".join(failed + told[:3])
