"""What `spark_jobs/spark_internals.py` relies on is still there in the PySpark and py4j that are installed."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import psutil
import py4j.java_gateway
import pyarrow as pa
import pytest
from pyspark import SparkContext, daemon, java_gateway
from pyspark.errors import ArithmeticException
from pyspark.errors.exceptions import base
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, LongType, StringType, StructField, StructType, TimestampType

from spark_jobs import spark_internals
from spark_jobs.session import interpreting


def door(function: str, where: str) -> str:
    return f"another PySpark or py4j: see spark_jobs/spark_internals.py, {function}; to look at: {where}"


def test_an_application_and_its_gateway_stand_in_the_class_and_a_new_jvm_where_it_has_none():
    told = door("running_context, gateway_in_use, forget_jvm", "pyspark/core/context.py")
    assert {"_active_spark_context", "_gateway", "_jvm"} <= vars(SparkContext).keys(), told
    start = inspect.getsource(SparkContext._ensure_initialized)
    assert "if not SparkContext._gateway:" in start and "gateway or launch_gateway(conf)" in start, told
    assert "gateway" in inspect.signature(SparkContext).parameters, told


def test_the_launcher_takes_where_output_goes_and_gives_the_process():
    told = door("start_jvm, jvm_process", "pyspark/java_gateway.py")
    assert list(inspect.signature(java_gateway.launch_gateway).parameters) == ["conf", "popen_kwargs"], told
    source = inspect.getsource(java_gateway.launch_gateway)
    assert "gateway.proc = proc" in source and 'popen_kwargs["stdin"] = PIPE' in source, told


def test_a_client_that_is_not_connected_tells_nothing_of_collected_objects(monkeypatch: pytest.MonkeyPatch):
    client = py4j.java_gateway.GatewayClient(gateway_parameters=py4j.java_gateway.GatewayParameters())
    sent: list[str] = []
    monkeypatch.setattr(client, "send_command", sent.append)
    client.garbage_collect_object("o1")
    client.is_connected = False
    client.garbage_collect_object("o2")
    assert len(sent) == 1 and "o1" in sent[0], door("expect_no_answer", "GatewayClient in py4j/java_gateway.py")


def test_errors_are_logged_by_the_names_that_are_silenced():
    names = re.findall(r'getLogger\("(\w+)"\)', inspect.getsource(base))
    assert set(names) == set(spark_internals.ERROR_LOGGERS), door(
        "print_no_errors", "pyspark/errors/exceptions/base.py"
    )


def test_the_daemon_collects_by_the_module_gc_after_each_task():
    told = door("serve_workers", "pyspark/daemon.py")
    source = inspect.getsource(daemon)
    assert re.findall(r"\bgc\.\w+", source) == ["gc.collect"], told
    assert "    from pyspark.worker import main" in source, told
    assert callable(daemon.manager) and not inspect.signature(daemon.manager).parameters, told


def test_arrow_types_have_their_counterparts():
    key = pa.field("id", pa.int64(), nullable=False)
    arrow = pa.schema([key, ("words", pa.list_(pa.string())), ("at", pa.timestamp("us", "UTC"))])
    fields = [("id", LongType(), False), ("words", ArrayType(StringType()), True), ("at", TimestampType(), True)]
    told = door("spark_types", "pyspark/sql/pandas/types.py")
    assert spark_internals.spark_types(arrow) == StructType([StructField(*field) for field in fields]), told


def test_the_application_that_runs_is_found_from_any_thread(spark: SparkSession):
    told = door("running_context, gateway_in_use, jvm_process", "pyspark/core/context.py, pyspark/java_gateway.py")
    assert spark_internals.running_context() is spark.sparkContext, told
    jvm = spark_internals.jvm_process(spark_internals.gateway_in_use())
    assert jvm is not None and "java" in psutil.Process(jvm.pid).name(), told


def test_gateway_and_accumulators_have_what_is_silenced_at_the_end(spark: SparkSession):
    told = door("expect_no_answer", "pyspark/core/context.py and pyspark/accumulators.py, py4j/clientserver.py")
    client = spark_internals.gateway_in_use()._gateway_client
    assert isinstance(client, py4j.java_gateway.GatewayClient) and client.is_connected is True, told
    assert callable(getattr(spark.sparkContext._accumulatorServer, "handle_error", None)), told


def test_spark_knows_the_settings_and_follows_them(spark: SparkSession, capsys: pytest.CaptureFixture[str]):
    told = door("INTERPRETED", "SQLConf.scala: a setting that Spark does not know is taken without a word")
    for name in spark_internals.INTERPRETED:
        assert spark.newSession().conf.get(name), told
    with pytest.raises(Exception, match="SQL_CONF_NOT_FOUND"):
        spark.conf.get("spark.sql.codegen.nosuchsetting")

    spark.range(5).selectExpr("id + 1 as more").explain()
    assert "*(1)" in capsys.readouterr().out, told
    interpreting(spark).range(5).selectExpr("id + 1 as more").explain()
    assert "*(1)" not in capsys.readouterr().out, told


def test_an_error_that_is_raised_is_not_printed(spark: SparkSession, capfd: pytest.CaptureFixture[str]):
    told = door("print_no_errors", "pyspark/errors/exceptions/base.py")
    with pytest.raises(ArithmeticException):
        spark.sql("select 1 / 0").collect()
    with pytest.raises(ArithmeticException):
        spark.range(1).select(F.lit(1) / F.lit(0)).collect()
    assert capfd.readouterr().err == "", told


def test_workers_are_forks_of_the_daemon_that_is_named(spark: SparkSession):
    def parent(_: int) -> list[str]:
        return psutil.Process().parent().cmdline()  # type: ignore[union-attr]

    command = spark.sparkContext.parallelize([0], 1).map(parent).first()
    assert "spark_jobs.worker_daemon" in command, door("DAEMON_SETTING, serve_workers", "PythonWorkerFactory.scala")


DAEMON = """
import gc, sys
from spark_jobs.spark_internals import serve_workers
from pyspark import daemon

def looked():
    daemon.gc.collect()
    print("pyspark.worker" in sys.modules, gc.get_freeze_count() > 0)

daemon.manager = looked
serve_workers(lambda: print("collected"))
"""


def test_the_daemon_serves_with_the_collection_that_is_given():
    done = subprocess.run([sys.executable, "-c", DAEMON], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.stdout.split() == ["collected", "True", "True"], (
        f"{done.stderr}\n{door('serve_workers', 'pyspark/daemon.py')}"
    )
