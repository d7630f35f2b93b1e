"""Memory does not grow with the log."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, sys
from pathlib import Path
from tasks.sources.config import SourceConfig
from tasks.sources import csv_files, reading
from tasks.sources.scan import scan
csv_files.CSV_BLOCK_BYTES, csv_files.BATCH_ROWS = 1 << 16, 20_000
found = scan(SourceConfig(kind="table", path=sys.argv[1]), Path(sys.argv[2]), "2026-01-01")
print(sum(found.rows.values()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.fixture
def peak_kib(tmp_path):
    """Peak memory of a scan of a log with so many rows, in a process of its own."""

    def scanned(rows: int) -> int:
        log = tmp_path / f"{rows}.csv"
        with log.open("w") as file:
            file.write("user,item,time,padding\n")
            for n in range(rows):
                file.write(f"{n % 997},{n % 499},{1_500_000_000 + n * 7},{'x' * 60}\n")
        call = [sys.executable, "-c", SCRIPT, str(log), str(tmp_path / f"home-{rows}")]
        root = Path(__file__).parents[3]
        done = subprocess.run(call, cwd=root, capture_output=True, text=True, check=True)
        found, peak = map(int, done.stdout.split())
        assert found == rows
        return peak

    return scanned


def test_a_log_is_read_in_bounded_memory(peak_kib):
    small, large = peak_kib(20_000), peak_kib(1_200_000)
    grown_bytes = (large - small) * 1024
    # Held whole as text columns, these rows would take over 150 MB; scratch is memory-mapped and counts a little.
    assert grown_bytes < 80e6
