"""What set-up prepares once so that a Spark session starts quickly: a class archive, and the kernels' machine code.

Spark loads some 15,000 classes. From an archive (Java's class data sharing) they are mapped instead of parsed and
verified, which saves about five seconds of processor time a session; compiled kernels save three in every new home.
Without them everything works, only slower.
"""

import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

from expectations.prepared import prepared
from spark_jobs.java import Java, find_java


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


def make_archive() -> Path:
    """Run every job once on a small log, in a JVM that writes down which classes it loaded."""
    from spark_jobs import rehearsal
    from spark_jobs.session import spark_session, stop_session

    path = archive_path(find_java())
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(prepared("kernels"), ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        options = (f"-XX:ArchiveClassesAtExit={path}", "-Xlog:disable", "-Xlog:all=error:stderr")
        spark = spark_session("local[2]", 1, 2, Path(folder), "class archive", options)
        rehearsal.run_all(spark, Path(folder))
        stop_session()
        shutil.copytree(Path(folder) / "cache" / "numba", prepared("kernels"))
    return path
