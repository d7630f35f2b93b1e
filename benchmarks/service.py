"""Seconds from `nightjar up` to ready: `python -m benchmarks.service`.

Ready is when the command returns: both servers answer, the deployments are registered, the worker is started. Three
times in a fresh home (both databases are made), in the same home after `nightjar down`, and once more while all is up.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3)
    rows = [measure() for _ in range(parser.parse_args().times)]
    print(f"{'':<8}{'fresh home':>12}{'second start':>14}{'all up':>10}")
    for number, row in enumerate(rows, 1):
        print(f"{number:<8}{row[0]:>10.1f} s{row[1]:>12.1f} s{row[2]:>8.1f} s")


def measure() -> tuple[float, float, float]:
    """Seconds of `up` in a fresh home, after `down`, and when nothing is to be done."""
    with tempfile.TemporaryDirectory(prefix="nightjar-service-") as home:
        ports = ("--prefect-port", free_port(), "--mlflow-port", free_port())
        fresh = nightjar(home, "up", *ports)
        try:
            nightjar(home, "down")
            return fresh, nightjar(home, "up"), nightjar(home, "up")
        finally:
            nightjar(home, "down")


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def nightjar(home: str, *arguments: str) -> float:
    """Seconds of a command."""
    began = time.monotonic()
    environment = {**os.environ, "NIGHTJAR_HOME": home}
    subprocess.run([sys.executable, "-m", "flows", *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
