"""What `make setup` runs last: everything that is the same for every home is made once (`python -m flows.prepare`)."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from expectations.files import replacing
from flows.home import prepare


def main() -> None:
    """Make the class archive and kernels of Spark, and empty databases of Prefect and MLflow."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        from flows.service import prefect_database
        from spark_jobs.archive_recording import make_archive
        from tasks.registry import registry

        make_archive()
        _database(prefect_database.template(), prefect_database.make_tables)
        _database(registry.template(), registry.make_tables)


def _database(path: Path, make: Callable[[Path], None]) -> None:
    """Aside, then into place: set-up may be interrupted too."""
    with replacing(path) as aside:
        make(aside)


if __name__ == "__main__":
    main()
