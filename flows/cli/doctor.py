"""`nightjar doctor`: is this machine fit for a night? Each failure comes with its remedy."""

import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from expectations.errors import FREES_SPACE, UserError

CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"
MIN_DISK_GIB, MIN_MEMORY_GIB = 5, 4
PORTS = {4200: "Prefect's UI", 5000: "MLflow's UI"}


@dataclass(frozen=True)
class Finding:
    """One check: `ok`, `warn` (the night runs all the same) or `fail`."""

    check: str
    state: str
    says: str
    remedy: str = ""


@click.command()
def doctor() -> None:
    """Check Java, versions, disk, memory, ports and write access; exits with 1 when a night could not run."""
    from flows.cli.terminal import Console, styled

    console, failed = Console(), False
    for finding in examine():
        mark = {"ok": "[green]✓[/]", "warn": "[yellow]![/]", "fail": "[red]✗[/]"}[finding.state]
        console.print(styled(mark + " {} {}", f"{finding.check:<12}", finding.says))
        if finding.remedy:
            console.print(styled("  {} [bold]remedy:[/] {}", f"{'':<12}", finding.remedy))
        failed |= finding.state == "fail"
    if failed:
        raise click.exceptions.Exit(1)


def examine() -> Iterator[Finding]:
    """Every check, one finding each (ports: one a port)."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python,
        _place,
        _java,
        _packages,
        _home,
        _disk,
        _memory,
        _ports,
    )
    for check in checks:
        yield from check()


def _python() -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    good = (3, 11) <= sys.version_info[:2] < (3, 13)
    yield Finding(
        "python", "ok" if good else "fail", found, "" if good else "install Python 3.11 or 3.12, then `make setup`"
    )


def _place() -> Iterator[Finding]:
    """A home of an odd name goes by a link; Python and Java find their own files where they were installed."""
    from flows.home import PLAIN

    odd = [str(path) for path in (CONSTRAINTS.parent, Path(sys.prefix)) if not PLAIN.fullmatch(str(path))]
    if odd:
        says = f"{odd[0]} has characters in it that options of Java and scripts of Python are split or cut at"
        yield Finding("place", "warn", says, "move the checkout and its .venv to a path without spaces, $, %, # and ?")


def _java() -> Iterator[Finding]:
    from spark_jobs.java import find_java

    try:
        java = find_java()
        yield Finding("java", "ok", f"{java.version} in {java.home}")
    except UserError as error:
        says, _, remedy = str(error).partition(". ")
        yield Finding("java", "fail", says, remedy)


def _packages() -> Iterator[Finding]:
    """Installed versions against the pins; those that differ were never tested together."""
    from importlib.metadata import PackageNotFoundError, version

    wrong, pinned = [], 0
    for line in CONSTRAINTS.read_text().splitlines():
        match = re.match(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", line)
        if not match:
            continue
        pinned += 1
        try:
            found = version(match[1]).split("+")[0]
        except PackageNotFoundError:
            found = "not installed"
        if found != match[2]:
            wrong.append(f"{match[1]} {found} (pinned {match[2]})")
    if wrong:
        shown = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        yield Finding("packages", "fail", shown, "make setup")
    else:
        yield Finding("packages", "ok", f"all {pinned} as pinned")


def _home() -> Iterator[Finding]:
    from flows.home import home_folder, open_to, prepare

    home = home_folder()
    try:
        prepare(home)
        linked = f"; libraries that its name would mislead know it as {home}" if home.is_symlink() else ""
        yield Finding("home", "ok", f"{home.resolve()} can be written{linked}")
        if who := open_to(home):
            remedy = f"chmod 700 {home}, unless others are meant to look into it"
            yield Finding("home", "warn", f"{home} is open to {who} of this machine", remedy)
    except UserError as error:
        yield Finding("home", "fail", str(error), "make the folder writable, or set NIGHTJAR_HOME to another")


def _disk() -> Iterator[Finding]:
    from flows.home import home_folder

    place = home_folder()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 2**30
    enough = free >= MIN_DISK_GIB
    remedy = "" if enough else f"free {MIN_DISK_GIB} GiB ({FREES_SPACE}), or move NIGHTJAR_HOME"
    yield Finding("disk", "ok" if enough else "fail", f"{free:.1f} GiB free at {place}", remedy)


def _memory() -> Iterator[Finding]:
    import psutil

    free = psutil.virtual_memory().available / 2**30
    enough = free >= MIN_MEMORY_GIB
    remedy = "" if enough else "close other programs, or lower resources.memory_gib in the config"
    yield Finding("memory", "ok" if enough else "warn", f"{free:.1f} GiB available, {os.cpu_count()} cores", remedy)


def _ports() -> Iterator[Finding]:
    from flows.home import home_folder
    from flows.service.state import load_all

    ours = {record.port for record in load_all(home_folder()) if record.process()}
    for port, what in PORTS.items():
        if port in ours:
            yield Finding("port", "ok", f"{port} is where the service of this home has {what}")
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                yield Finding("port", "ok", f"{port} is free for {what}")
            except OSError:
                remedy = f"stop what listens there (`lsof -i :{port}`), or use another port; `nightjar run` needs none"
                yield Finding("port", "warn", f"{port}, {what}'s, is taken", remedy)
