"""Starts Spark's Python workers lean: what a worker spends around a task counts when a night is made of small tasks.

- PySpark is loaded from where it is installed. Spark's own zip of it holds no compiled files, which costs every worker
  half a second of processor time.
- What the jobs' workers import, a second of processor time, is imported here once: workers are forks of this process.
- After each task PySpark collects garbage through all loaded modules, 30 ms once numba is among them. What survived a
  task once is set aside, so that the next collection looks at new objects only.
"""

import gc
import sys
from importlib.machinery import PathFinder


def _collect_and_set_aside() -> None:
    gc.collect()
    gc.freeze()


def main() -> None:
    """Serve the JVM's requests for workers until it goes."""
    without_zip = [entry for entry in sys.path if not entry.endswith("pyspark.zip")]
    if PathFinder.find_spec("pyspark", without_zip):
        sys.path[:] = without_zip
    import spark_jobs.als
    import spark_jobs.item_similarity  # noqa: F401
    from spark_jobs.spark_internals import serve_workers

    serve_workers(_collect_and_set_aside)


if __name__ == "__main__":
    main()
