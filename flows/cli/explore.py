"""`nightjar explore`: the explorer in the browser, as a child process that ends with this one."""

import signal
import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]


@click.command()
@click.option("--port", type=click.IntRange(1024, 65535), help="Default: 7860, or the next free one.")
@click.option("--no-browser", is_flag=True, help="Print the address, open nothing.")
def explore(port: int | None, no_browser: bool) -> int:
    """Look at releases in the browser: lists and why, comparisons, knobs, the embedding space, sweeps; run nights.

    Serves on loopback until Ctrl-C, which also ends a night that was started there.
    """
    from flows.home import home_folder, prepare
    from tasks.machine.processes import claim_ownership

    prepare(home_folder())
    claim_ownership()
    options = [*(["--port", str(port)] if port else []), *(["--no-browser"] if no_browser else [])]
    process = subprocess.Popen([sys.executable, "-m", "explorer", *options], cwd=ROOT)
    for number in (signal.SIGINT, signal.SIGTERM):
        # A terminal tells the child too; whoever tells this process alone does not.
        signal.signal(number, lambda *_: process.terminate())
    return process.wait()
