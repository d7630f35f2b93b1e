"""The Spark session that every job runs in: on loopback, writing below one home, the same sums every time.

Start-up is tuned, because a night at demo size is mostly start-up: a class archive (see `class_archive`) and a
compiler without its optimiser took the processor time of a small session from 16 to 6 s.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import psutil
from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from expectations.errors import Failure
from expectations.processes import end
from spark_jobs.class_archive import archive_options, copy_kernels
from spark_jobs.java import Java, find_java
from spark_jobs.spark_internals import (
    DAEMON_SETTING,
    INTERPRETED,
    expect_no_answer,
    forget_jvm,
    gateway_in_use,
    jvm_process,
    print_no_errors,
    running_context,
    start_jvm,
)

ROOT = Path(__file__).resolve().parent.parent

# What results may depend on: the same under every master.
SQL_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.shuffle.partitions": "8",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Otherwise DataFrame jobs get Python workers of their own, beside those of RDD jobs.
    "spark.sql.execution.pyspark.udf.simplifiedTraceback.enabled": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
}

_NO_PERFDATA = "-XX:-UsePerfData"
"""Keeps Java from writing /tmp/hsperfdata_*."""

# A small night is over before the optimising compiler has paid for itself: without it, half the processor time. The
# heavy loops are not Java's, so that 10 million events take no longer either. Executors of a cluster keep it.
_QUICK_COMPILER = "-XX:TieredStopAtLevel=1"

_COLLECTOR = "-XX:+UseParallelGC"
"""G1 keeps pauses short, which nobody waits for here, at the price of a write barrier and of threads of its own."""


def spark_session(
    master: str, memory_gib: float, threads: int, home: Path, app_name: str, java_options: tuple[str, ...] = ()
) -> SparkSession:
    """Start Spark, or give the session that runs already.

    Args:
        master: `local[2]`, `spark://host:7077`, ...; plain `local` takes `threads`.
        memory_gib: heap of the driver, and of each executor where there are any.
        threads: parallel tasks of plain `local`.
        java_options: instead of those for the class archive.
        home: all that Spark writes besides results (shuffles, logs, caches) goes below it.

    Raises:
        UserError: there is no Java, or it is too old.
        Failure: Spark did not start; the message has its last words.
    """
    if running_context() is not None:
        return SparkSession.builder.getOrCreate()
    java, folders = find_java(), _Folders(home)
    options = java_options or archive_options(java)
    master = f"local[{threads}]" if master == "local" else master
    settings = {
        "spark.master": master,
        "spark.app.name": app_name,
        "spark.driver.memory": f"{int(memory_gib * 1024)}m",
        "spark.executor.memory": f"{int(memory_gib * 1024)}m",
        "spark.driver.extraJavaOptions": _java_options(options, folders),
        "spark.executor.extraJavaOptions": " ".join((_NO_PERFDATA, *(options if _is_local(master) else ()))),
        **SQL_SETTINGS,
        **_quiet_and_private(folders),
        **_python_workers(folders),
        **(_loopback() if _is_local(master) else {}),
    }
    _environment(java, master, folders)
    return _start(SparkConf(loadDefaults=False).setAll(list(settings.items())), folders)


def submitted_session(app_name: str) -> SparkSession:
    """The session of a program started by spark-submit, which has been told master and memory."""
    builder = SparkSession.builder.appName(app_name)
    for key, value in SQL_SETTINGS.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def interpreting(spark: SparkSession) -> SparkSession:
    """A session of the same application that does not compile its queries; they give the very same rows."""
    quick = spark.newSession()
    for name, value in INTERPRETED.items():
        quick.conf.set(name, value)
    return quick


def session_log() -> Path | None:
    """What Spark has to say of itself, in a file: of the application that runs, or ran last, in this process."""
    return _Folders.log_in_use


def stop_session() -> None:
    """End the application, if there is one, and wait until its JVM is gone."""
    if running_context() is None:
        return
    gateway, spark = gateway_in_use(), SparkSession.builder.getOrCreate()
    scratch = spark.conf.get("spark.local.dir")
    spark.stop()
    jvm = jvm_process(gateway)
    if jvm is None:
        return  # spark-submit's
    gateway.shutdown()
    _ask_to_exit(jvm)
    jvm.wait()
    forget_jvm()
    shutil.rmtree(str(scratch), ignore_errors=True)


def _end_jvm(gateway: Any, folders: "_Folders", patience_s: float) -> None:
    """End the JVM at the end of this process, so that nothing that it started outlives it.

    A JVM takes a second or two to leave by itself. In local mode it holds nothing that is worth the wait; on a cluster
    it gives its executors back first.
    """
    jvm = jvm_process(gateway)
    if jvm is not None and jvm.poll() is None:
        expect_no_answer(gateway)
        # Its Python workers leave too when they are orphans, but in their own time.
        java = psutil.Process(jvm.pid)
        workers = java.children(recursive=True)
        _ask_to_exit(jvm)
        with suppress(subprocess.TimeoutExpired):
            jvm.wait(patience_s)
        end([java, *workers], 0)
        jvm.wait()
    shutil.rmtree(folders.own, ignore_errors=True)


def _ask_to_exit(jvm: "subprocess.Popen[bytes]") -> None:
    if jvm.stdin:
        jvm.stdin.close()  # what it takes as the sign


class _Folders:
    """Where Spark keeps what is not a result: a folder of this process, a log, and numba's machine code."""

    log_in_use: ClassVar[Path | None] = None

    def __init__(self, home: Path) -> None:
        home = home.absolute()
        _sweep(home / "scratch" / "spark")
        self.own = home / "scratch" / "spark" / str(os.getpid())
        self.temporary = self.own / "tmp"
        self.numba = home / "cache" / "numba"
        self.log = home / "logs" / "spark.log"
        for folder in (self.temporary, self.numba, self.log.parent):
            folder.mkdir(parents=True, exist_ok=True)
        copy_kernels(self.numba)
        self.log4j = self.own / "log4j2.properties"
        self.log4j.write_text(_LOG4J)


def _sweep(scratch: Path) -> None:
    """Remove what processes left that were killed; folders are named after them."""
    for folder in scratch.glob("[0-9]*"):
        if not psutil.pid_exists(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)


_LOG4J = """\
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{yyyy-MM-dd HH:mm:ss} %p %c{1}: %m%n%ex
"""


def _java_options(options: tuple[str, ...], folders: _Folders) -> str:
    return " ".join(
        (
            _NO_PERFDATA,
            f"-Djava.io.tmpdir={folders.temporary}",
            f"-Dlog4j2.configurationFile=file:{folders.log4j}",
            "-Djava.net.preferIPv4Stack=true",
            _QUICK_COMPILER,
            _COLLECTOR,
            *options,
        )
    )


def _quiet_and_private(folders: _Folders) -> dict[str, str]:
    return {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": str(folders.own),
        "spark.sql.warehouse.dir": f"file:{folders.own}/warehouse",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.driver.maxResultSize": "0",  # factors are collected; the heap is the bound
    }


def _python_workers(folders: _Folders) -> dict[str, str]:
    environment = {
        "PYTHONPATH": str(ROOT),
        "NUMBA_CACHE_DIR": str(folders.numba),  # one worker compiles a kernel, the others load it
        "TMPDIR": str(folders.temporary),
        # Parallelism is Spark's; and sums of BLAS differ between thread counts.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    return {
        DAEMON_SETTING: "spark_jobs.worker_daemon",
        "spark.pyspark.python": sys.executable,
        "spark.pyspark.driver.python": sys.executable,
        **{f"spark.executorEnv.{name}": value for name, value in environment.items()},
    }


def _is_local(master: str) -> bool:
    """Whether everything runs on this machine."""
    return master.startswith("local") or urlsplit(master).hostname in ("127.0.0.1", "localhost")


def _loopback() -> dict[str, str]:
    return {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}


def _environment(java: Java, master: str, folders: _Folders) -> None:
    """What the JVM and numba can be told by environment only."""
    os.environ["JAVA_HOME"] = str(java.home)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["NUMBA_CACHE_DIR"] = str(folders.numba)
    os.environ["SPARK_LOCAL_DIRS"] = str(folders.own)
    if _is_local(master):
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    else:
        os.environ.pop("SPARK_LOCAL_IP", None)  # executors elsewhere must reach the driver


@contextmanager
def _temporary_files(folder: Path) -> Iterator[None]:
    """PySpark leaves the gateway's address in Python's temporary folder, which is outside the home."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _start(conf: SparkConf, folders: _Folders) -> SparkSession:
    began = folders.log.stat().st_size if folders.log.exists() else 0
    _Folders.log_in_use = folders.log
    print_no_errors()
    try:
        with _temporary_files(folders.temporary), folders.log.open("ab") as log:
            gateway = start_jvm(conf, log)
            patience_s = 0.0 if conf.get("spark.master", "").startswith("local") else 10.0
            atexit.register(_end_jvm, gateway, folders, patience_s)
            return SparkSession(SparkContext(conf=conf, gateway=gateway))
    except (PySparkException, Py4JError, OSError) as error:
        words = folders.log.read_bytes()[began:].decode(errors="replace").strip().splitlines()
        last = "\n  ".join(words[-5:])
        raise Failure(f"Spark did not start on {conf.get('spark.master')}. See {folders.log}:\n  {last}") from error
