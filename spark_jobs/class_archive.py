"""A class archive for Spark's JVM (Java's class data sharing), made once at set-up.

Spark loads some 15,000 classes. From an archive they are mapped instead of parsed and verified, which saves about five
seconds of processor time a session. Without an archive everything works, only slower. It lies with the installation
that it belongs to, not in a home: `python -m spark_jobs.class_archive` makes it.
"""

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from spark_jobs.java import Java, find_java


def archive_path(java: Java) -> Path:
    """Where the archive of this installation and this Java lies; Java itself refuses one that does not fit."""
    name = f"spark-{version('pyspark')}-java-{java.version}.jsa"
    return Path(sys.prefix) / "share" / "nightjar" / name


def archive_options(java: Java) -> tuple[str, ...]:
    """Options that make a JVM use the archive, none when there is none."""
    path = archive_path(java)
    quiet = ("-Xlog:disable", "-Xlog:all=error:stderr")
    return (f"-XX:SharedArchiveFile={path}", "-Xshare:auto", *quiet) if path.exists() else quiet


def make_archive() -> Path:
    """Run every job once on a small log in a JVM that writes down which classes it loaded."""
    from spark_jobs import rehearsal
    from spark_jobs.session import spark_session, stop_session

    path = archive_path(find_java())
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        options = (f"-XX:ArchiveClassesAtExit={path}", "-Xlog:disable", "-Xlog:all=error:stderr")
        spark = spark_session("local[2]", 1, 2, Path(folder), "class archive", options)
        rehearsal.run_all(spark, Path(folder))
        stop_session()
    return path


if __name__ == "__main__":
    print(make_archive())
