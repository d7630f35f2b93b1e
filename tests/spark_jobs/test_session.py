"""The session's promises: loopback only, nothing outside its home, an end, and words when it cannot start."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from pyspark.sql import SparkSession

from spark_jobs.spark_internals import gateway_in_use, jvm_process

pytestmark = pytest.mark.slow

# In a process of its own, because a process has one session.
LIFE = """
import json, os, psutil, sys, tempfile
from pathlib import Path
from expectations.errors import Failure
from spark_jobs.session import spark_session, stop_session
from spark_jobs.spark_internals import gateway_in_use, jvm_process

home = Path(sys.argv[1])
(home / "scratch" / "spark" / "999999999").mkdir(parents=True)
told = {}
try:
    spark_session("local[2]", 1, 2, home, "life", java_options=("-Xss1k",))
except Failure as failure:
    told["failure"] = str(failure)
spark = spark_session("local", 1, 2, home, "life")
told["same"] = spark_session("local[1]", 1, 1, home, "again") is spark
context = spark.sparkContext
told["parallelism"] = context.defaultParallelism
def look(_):
    import spark_jobs.kernels
    return {name: os.environ.get(name) for name in ("NUMBA_CACHE_DIR", "TMPDIR", "OPENBLAS_NUM_THREADS")}
told["worker"] = context.parallelize([0], 1).map(look).first()
jvm = jvm_process(gateway_in_use())
children = psutil.Process(jvm.pid).children(recursive=True)
told["listening"] = sorted({c.laddr.ip for p in (psutil.Process(jvm.pid), *children) for c in p.net_connections()
                            if c.status == "LISTEN"})
told["heap"] = spark.conf.get("spark.driver.memory")
told["python's temporary folder"] = tempfile.gettempdir()
stop_session()
stop_session()
told["gone"] = jvm.poll() is not None and not psutil.Process().children()
told["left"] = [f.name for f in (home / "scratch" / "spark").iterdir()]
spark = spark_session("local[1]", 1, 1, home, "once more")
told["starts again"] = spark.range(5).count()
told["last"] = jvm_process(gateway_in_use()).pid
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    home = tmp_path_factory.mktemp("home")
    temporary = tmp_path_factory.mktemp("temporary")
    command = [sys.executable, "-c", LIFE, str(home)]
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(temporary)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=True)
    outside = [path.name for path in temporary.rglob("*")]
    found = json.loads(done.stdout)
    after = {"outlived": psutil.pid_exists(found["last"]), "kept": [*(home / "scratch" / "spark").iterdir()]}
    return found | after | {"home": home, "outside": outside, "stderr": done.stderr, "tmp": str(temporary)}


def test_a_failed_start_says_why(told: dict[str, object]) -> None:
    words = str(told["failure"])
    assert words.startswith("Spark did not start on local[2]. See")
    assert "stack size specified is too small" in words


def test_it_is_one_session_with_what_was_asked_for(told: dict[str, object]) -> None:
    assert told["same"] is True
    assert told["parallelism"] == 2, "plain `local` takes the threads given"
    assert told["heap"] == "1024m"


def test_it_listens_on_loopback_only(told: dict[str, object]) -> None:
    assert told["listening"] and set(told["listening"]) <= {"127.0.0.1", "::ffff:127.0.0.1"}  # type: ignore[call-overload]


def test_it_writes_below_its_home_only(told: dict[str, object]) -> None:
    assert told["outside"] == []
    assert told["python's temporary folder"] == told["tmp"], "put back after the start"
    worker = told["worker"]
    assert isinstance(worker, dict)
    assert worker["NUMBA_CACHE_DIR"] == f"{told['home']}/cache/numba"
    assert worker["TMPDIR"].startswith(str(told["home"]))
    assert worker["OPENBLAS_NUM_THREADS"] == "1"


def test_it_is_quiet_and_keeps_a_log(told: dict[str, object]) -> None:
    assert told["stderr"] == ""
    assert (Path(str(told["home"])) / "logs" / "spark.log").exists()


def test_it_ends_and_can_start_again(told: dict[str, object]) -> None:
    assert told["gone"] is True
    assert told["left"] == [], "neither its own folder nor that of a dead process"
    assert told["starts again"] == 5


def test_nothing_of_it_outlives_its_process(told: dict[str, object]) -> None:
    assert told["outlived"] is False and told["kept"] == []


def test_no_jvm_writes_performance_data(spark: SparkSession) -> None:
    jvm = jvm_process(gateway_in_use())
    assert jvm is not None
    pid = jvm.pid
    assert psutil.pid_exists(pid)
    assert not list(Path("/tmp").glob(f"hsperfdata_*/{pid}"))


def test_sums_and_times_mean_the_same_everywhere(spark: SparkSession) -> None:
    for key, value in {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.shuffle.partitions": "8",
        "spark.ui.enabled": "false",
    }.items():
        assert spark.conf.get(key) == value
