"""The one door to what PySpark 4.3 and py4j 0.10 keep to themselves: the JVM behind a session, the daemon of workers.

Each function says why no public way serves, and what to look at when a new release breaks it. That all of it is still
there and still does what is relied on, `tests/spark_jobs/test_spark_internals.py` checks.
"""

import gc
import logging
import subprocess
from collections.abc import Callable
from types import SimpleNamespace
from typing import IO, Any

import pyarrow as pa
from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import launch_gateway
from pyspark.sql.types import StructType

ERROR_LOGGERS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")
"""Of `pyspark/errors/exceptions/base.py`: through one of them goes every error, as a page of JSON."""

INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
"""Settings of a session that does not compile its queries. Both are marked internal in Spark's `SQLConf.scala`, and
Spark has no others for it; one that it no longer knows is taken without a word."""

DAEMON_SETTING = "spark.python.daemon.module"
"""Names the module that starts Python workers; not documented. Read by `PythonWorkerFactory.scala`."""


def running_context() -> SparkContext | None:
    """The Spark application of this process, whichever thread has started it.

    `SparkSession.getActiveSession` knows that of the calling thread only, and `getOrCreate` starts one. To look at:
    `SparkContext._active_spark_context` in `pyspark/core/context.py`.
    """
    return SparkContext._active_spark_context


def start_jvm(conf: SparkConf, log: IO[bytes]) -> Any:
    """Start a JVM that writes into `log`; gives py4j's gateway to it, which `SparkContext(gateway=...)` takes.

    A `SparkContext` that starts one itself leaves the terminal to it. To look at: `launch_gateway` and the `proc` that
    it sets, in `pyspark/java_gateway.py`.
    """
    return launch_gateway(conf, {"stdout": log, "stderr": log})


def jvm_process(gateway: Any) -> "subprocess.Popen[bytes] | None":
    """The JVM behind a gateway; None where there is none, or spark-submit has started it.

    To look at: as for `start_jvm`.
    """
    found: subprocess.Popen[bytes] | None = None if gateway is None else gateway.proc
    return found


def gateway_in_use() -> Any:
    """The gateway of the application that runs, or ran last; None before the first.

    `SparkContext.stop` ends the application and keeps the JVM, and nothing public tells its process. To look at:
    `SparkContext._gateway` in `pyspark/core/context.py`.
    """
    return SparkContext._gateway


def forget_jvm() -> None:
    """Let the next application start a JVM of its own, instead of asking one that has ended.

    To look at: `_gateway` and `_jvm`, which `SparkContext._ensure_initialized` sets where they are None.
    """
    SparkContext._gateway = SparkContext._jvm = None


def expect_no_answer(gateway: Any) -> None:
    """Keep what still talks to a JVM at the end of a process from printing tracebacks when that is gone.

    To look at: `is_connected`, which py4j's `GatewayClient` asks before it tells the JVM of a collected object
    (`py4j/java_gateway.py`), and `_accumulatorServer` of `pyspark/core/context.py`, a `socketserver`.
    """
    gateway._gateway_client.is_connected = False
    # A process may end while another of its threads still starts Spark.
    accumulators: Any = getattr(running_context(), "_accumulatorServer", None)
    if accumulators is not None:
        accumulators.handle_error = lambda *_: None


def print_no_errors() -> None:
    """Keep PySpark from printing every error before it raises it; it has no setting for that.

    To look at: the names of the loggers in `pyspark/errors/exceptions/base.py`.
    """
    for name in ERROR_LOGGERS:
        logging.getLogger(name).disabled = True


def serve_workers(collect: Callable[[], object]) -> None:
    """Be the process whose forks are Python workers, until the JVM goes; `collect` collects garbage after each task.

    The daemon collects by `gc.collect()`, and no setting says otherwise. To look at: the use of `gc`, the import of
    `pyspark.worker` after each fork, and `manager`, all in `pyspark/daemon.py`.
    """
    import pyspark.worker  # noqa: F401
    from pyspark import daemon

    gc.freeze()
    daemon.gc = SimpleNamespace(collect=collect)  # type: ignore[assignment]
    daemon.manager()


def spark_types(schema: pa.Schema) -> StructType:
    """An Arrow schema in Spark's types.

    Public ways go through a frame, which needs a session. To look at: `from_arrow_schema` in
    `pyspark/sql/pandas/types.py`.
    """
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(schema)
