"""Two homes on one lake in S3 and one PostgreSQL while everything around them fails: nothing is lost or made twice.

Two operators give commands without end: nights, backfills, promotions, pulls, `gc`, `up` and `down`. Meanwhile
processes are killed, PostgreSQL restarts, S3 fails, and a disk is full. Then all is well again, the days are asked for
once more, and it is counted what there is.
"""

import json
import os
import random
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest

from expectations.datasets import DATASETS
from flows.service.http import call
from tasks.engine.lake import Lake
from tasks.registry.ledger import Ledger
from tasks.registry.registry import Registry
from tests.homes import RELEASED, ROOT, TINY, Home
from tests.postgres import Postgres
from tests.servers import free_port
from tests.tasks.released import Faulty

pytestmark = [pytest.mark.slow, pytest.mark.soak]

FAULTS = int(os.environ.get("NIGHTJAR_TEST_FAULTS", "200"))
EVERY_S = 8.0
"""Between two faults, on average."""
LIMIT_S = 2400.0
"""When it ends, however many faults there were."""
FIRST, LAST = date(2026, 1, 20), date(2026, 1, 25)
DAYS = [(FIRST + timedelta(days=n)).isoformat() for n in range((LAST - FIRST).days + 1)]
ZONES = "UTC", "America/Los_Angeles", "Asia/Kathmandu", "Pacific/Kiritimati"
S3 = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
KILLED = {
    "a command": r"-m flows (run|backfill|promote|rollback|pull|gc|up|down)",
    "a night on the pool": r"prefect\.(flow_)?engine",
    "a worker": r"prefect worker start",
    "Prefect's server": r"flows\.service\.(prefect_server|own_server)",
    "MLflow's server": r"flows\.service\.mlflow_server",
    "Spark": r"java .*spark",
}
"""How the command lines of what is killed are known."""
FAILURES_OF_S3 = "500", "503", "slow", "reset"


@dataclass
class Operator:
    """Somebody who works at one home, without end.

    Attributes:
        ends: how many commands of each kind succeeded, failed with a sentence, or were killed.
        tracebacks: what commands printed that should have said a sentence.
    """

    home: Home
    chance: random.Random
    over: threading.Event
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    tracebacks: list[str] = field(default_factory=list)

    def work(self) -> None:
        while not self.over.is_set():
            self.give(*self._next())
            self.over.wait(self.chance.uniform(0, 3))

    def _next(self) -> tuple[str, ...]:
        config, day = str(self.home.config), self.chance.choice(DAYS)
        until = self.chance.choice([d for d in DAYS if d >= day])
        fill = ("backfill", day, until, "--config", config, "--on-failure", self.chance.choice(["stop", "continue"]))
        known = sorted(p.name for p in (self.home.path / "home/backfills").glob("*"))
        weighted: dict[tuple[str, ...], float] = {
            ("up",): 4,
            ("down",): 0.5,
            ("run", config, "--date", day): 4,
            (*fill, "--on", "pool"): 3,
            (*fill, "--max-parallel", "2"): 2,
            ("backfill", "resume", self.chance.choice(known or ["none"])): 2,
            ("promote", self.chance.choice(["@candidate", f":{day}"]), "--why", "it is better"): 3,
            ("rollback", "--why", "it was not"): 1,
            ("pull", "@candidate", "--to", str(self.home.path / "pulled")): 3,
            ("gc", "--keep-days", "0", "--grace-hours", "0", "--delete"): 3,
            ("status",): 1,
        }
        return self.chance.choices([*weighted], [*weighted.values()])[0]

    def give(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command, somewhere in the world, and how it ended."""
        done = self.home.command(*arguments, TZ=self.chance.choice(ZONES)).wait()
        end = "killed" if done.returncode < 0 else "failed" if done.returncode else "done"
        self.ends[arguments[0], end] += 1
        if end != "killed" and "Traceback" in done.stderr:
            self.tracebacks.append(f"nightjar {' '.join(arguments)}: {done.returncode}\n{done.stderr[-3000:]}")
        return done


@dataclass
class Mischief:
    """What goes wrong around them, one thing after the other."""

    homes: list[Home]
    store: Faulty
    postgres: Postgres
    disk: Path | None
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)

    def one(self) -> None:
        kinds: dict[Callable[[], str], float] = {self._kill: 7, self._s3: 2, self._database: 1}
        if self.disk:
            kinds[self._full_disk] = 1
        if what := self.chance.choices([*kinds], [*kinds.values()])[0]():
            self.done[what] += 1

    def _kill(self) -> str:
        """A process of one of the kinds that there are now."""
        found: dict[str, list[psutil.Process]] = {}
        for process in (p for home in self.homes for p in home.processes()):
            with suppress(psutil.Error):
                line = " ".join(process.cmdline())
                for kind, pattern in KILLED.items():
                    if re.search(pattern, line):
                        found.setdefault(kind, []).append(process)
        if not found:
            return ""
        kind = self.chance.choice(sorted(found))
        with suppress(psutil.Error):
            self.chance.choice(found[kind]).kill()
        return f"{kind} is killed"

    def _s3(self) -> str:
        self.store.always = self.chance.choice(FAILURES_OF_S3)
        told = f"S3 answers {self.store.always}" if self.store.always.isdecimal() else f"S3: {self.store.always}"
        time.sleep(self.chance.uniform(0.5, 6))
        self.store.always = ""
        return told

    def _database(self) -> str:
        self.postgres.stop()
        time.sleep(self.chance.uniform(0, 4))
        self.postgres.start()
        return "PostgreSQL restarts"

    def _full_disk(self) -> str:
        assert self.disk
        filler = self.disk / "filler"
        with suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(bytes(2**20))
        time.sleep(self.chance.uniform(0.5, 6))
        filler.unlink()
        return "a disk is full"


@contextmanager
def _small_disk(place: Path) -> Iterator[Path | None]:
    """A disk of its own for a home, where this user may mount one."""
    place.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1500m", "tmpfs", place], check=False, stderr=subprocess.DEVNULL
        ).returncode
    )
    try:
        yield place if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "-l", place], check=False)


def _databases(postgres: Postgres, *names: str) -> None:
    for name in names:
        connection = psycopg2.connect(f"{postgres}/postgres")
        connection.autocommit = True
        connection.cursor().execute(f"create database {name}")
        connection.close()


def _outside() -> list[str]:
    """What there is in places that no home has anything to do with."""
    ignored = subprocess.run(
        ["git", "status", "--porcelain", "--ignored"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    written = [line for line in ignored if not re.search(r"__pycache__|\.pytest_cache|\.hypothesis|_cache/", line)]
    return sorted([*written, *map(str, Path("/var/tmp").iterdir()), *map(str, Path.home().iterdir())])


def _digests(lake: Lake) -> dict[str, str]:
    """As `Home.digests` has them."""
    found = {}
    for ref in (ref for dataset in DATASETS for ref in lake.refs(dataset)):
        if manifest := lake.manifest(ref):
            found[f"{ref.dataset} {ref.date} {ref.key}"] = manifest["content_digest"]
    return found


@pytest.mark.timeout(3400)
def test_two_homes_while_everything_around_them_fails(
    make_home: Callable[..., Home],
    s3_url: str,
    postgres: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    chance: random.Random,
    record_property: Callable[[str, object], None],
) -> None:
    for name, value in S3.items():
        monkeypatch.setenv(name, value)
    calm = make_home(TINY)
    done = calm.run("backfill", DAYS[0], DAYS[-1], "--config", str(calm.config), "--max-parallel", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    before = _outside()

    first, second = make_home(TINY), make_home(TINY)
    _databases(postgres, "chaos_first", "chaos_second", "chaos_mlflow")
    (moto,) = re.findall(r"127\.0\.0\.1:(\d+)", s3_url)
    with Faulty(int(moto)).running() as store, _small_disk(second.path / "home") as disk:
        url = s3_url.replace(moto, str(store.port)).replace("/night", f"/{tmp_path.name}")
        registry_port = free_port()
        # The second registers with the first: a service whose MLflow has a database elsewhere would go before that.
        for home, name, more in (
            (first, "first", [f"--mlflow-database={postgres}/chaos_mlflow"]),
            (second, "second", []),
        ):
            home.environment.update(S3)
            assert home.run("home", "--lake", url).returncode == 0
            port = registry_port if home is first else free_port()
            servers = (f"--prefect-port={free_port()}", f"--mlflow-port={port}")
            database = f"--prefect-database={postgres}/chaos_{name}"
            up = home.run("up", "--config", str(home.config), *servers, database, *more)
            assert up.returncode == 0, up.stderr
        address = f"http://127.0.0.1:{registry_port}"
        assert second.run("home", "--registry", address).returncode == 0

        over = threading.Event()
        operators = [Operator(home, random.Random(chance.random()), over) for home in (first, second)]
        threads = [threading.Thread(target=operator.work) for operator in operators]
        mischief = Mischief([first, second], store, postgres, disk, chance)
        for thread in threads:
            thread.start()
        began = time.monotonic()
        try:
            while mischief.done.total() < FAULTS and time.monotonic() - began < LIMIT_S:
                time.sleep(chance.uniform(0, 2 * EVERY_S))
                mischief.one()
        finally:
            over.set()
            for thread in threads:
                thread.join(900)
        ends = operators[0].ends + operators[1].ends
        record_property("table", _table(mischief.done, ends, time.monotonic() - began))

        for home in (first, second):
            up = home.run("up")
            assert up.returncode == 0, up.stdout + up.stderr
        for home in (first, second):  # the second finds all that there is to be made
            done = home.run("backfill", DAYS[0], DAYS[-1], "--config", str(home.config), "--on", "pool")
            assert done.returncode == 0, done.stdout + done.stderr
        registry = Registry(first.path / "home", address)
        versions = registry.versions()
        assert sorted(v.tags["nightjar.date"] for v in versions) == DAYS
        assert registry.aliases().get("champion", 0) == Ledger(registry).champion()
        lake = Lake(url, tmp_path / "scratch")
        made = _digests(lake)
        # Releases and reports tell of versions and champions, which came in another order.
        wanted = {name: digest for name, digest in calm.digests().items() if not name.startswith(RELEASED)}
        assert {name: made.get(name) for name in wanted} == wanted
        refs = [ref for dataset in DATASETS for ref in lake.refs(dataset)]
        assert {ref.folder: c for ref in refs if (c := lake.condition(ref)) != "present"} == {}
        for home in (first, second):
            _no_run_is_under_way(home)
            assert home.run("pull", "@candidate", "--to", str(home.path / "pulled")).returncode == 0
            assert home.run("down").returncode == 0
            assert home.left_running() == []
    assert _outside() == before
    assert not operators[0].tracebacks + operators[1].tracebacks, "\n\n".join(
        operators[0].tracebacks + operators[1].tracebacks
    )


def _no_run_is_under_way(home: Home) -> None:
    """Nothing of a deployment holds a place in Prefect that nobody fills; what a killed command ran holds none."""
    record: dict[str, Any] = json.loads((home.path / "home/service/prefect.pid.json").read_text())
    running = {"flow_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}}
    until = time.monotonic() + 300
    while runs := [r for r in call(f"{record['url']}/api/flow_runs/filter", running) if r["deployment_id"]]:
        assert time.monotonic() < until, [(r["name"], r["state"]) for r in runs]
        time.sleep(1)


def _table(faults: Counter[str], ends: Counter[tuple[str, str]], seconds: float) -> str:
    """What went wrong by kind, and how the commands ended meanwhile."""
    lines = [f"{faults.total()} faults in {seconds / 60:.0f} minutes:"]
    lines += [f"  {number:4d}  {kind}" for kind, number in sorted(faults.items())]
    lines += [f"{ends.total()} commands meanwhile:", f"  {'':<10}{'done':>6}{'failed':>8}{'killed':>8}"]
    for name in sorted({name for name, _ in ends}):
        lines.append(f"  {name:<10}{ends[name, 'done']:>6}{ends[name, 'failed']:>8}{ends[name, 'killed']:>8}")
    return "\n".join(lines)
