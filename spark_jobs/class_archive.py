"""What set-up prepares once so that a Spark session starts quickly: a class archive, and the kernels' machine code.

Spark loads some 15,000 classes. From an archive (Java's class data sharing) they are mapped instead of parsed and
verified, which saves about five seconds of processor time a session; compiled kernels save three in every new home.
Without them everything works, only slower. `archive_recording` makes them.
"""

import shutil
from importlib.metadata import version
from pathlib import Path

from expectations.prepared import prepared
from spark_jobs.java import Java


def archive_path(java: Java) -> Path:
    """Where the archive of this installation and this Java lies; Java itself refuses one that does not fit."""
    return prepared(f"spark-{version('pyspark')}-java-{java.version}.jsa")


def archive_options(java: Java) -> tuple[str, ...]:
    """Options that make a JVM use the archive, none when there is none."""
    path = archive_path(java)
    quiet = ("-Xlog:disable", "-Xlog:all=error:stderr")
    return (f"-XX:SharedArchiveFile={path}", "-Xshare:auto", *quiet) if path.exists() else quiet


def copy_kernels(cache: Path) -> None:
    """Give numba's cache of a new home the prepared kernels; numba itself refuses those that do not fit."""
    kernels = prepared("kernels")
    if kernels.exists() and not any(cache.iterdir()):
        shutil.copytree(kernels, cache, dirs_exist_ok=True)
