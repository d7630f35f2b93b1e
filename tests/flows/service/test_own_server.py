"""A command's own Prefect server: one for each command, there before Prefect is imported, gone with the command."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from flows.service.http import answers

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
COMMAND = """
import json, os, sys
from pathlib import Path
from flows.home import prepare
from flows.service import own_server

home = Path(sys.argv[1])
prepare(home)
own_server.start_server(home)
assert "prefect" not in sys.modules
own_server.await_server()
from prefect import flow

@flow(name="one")
def one():
    return 1

one()
server = own_server._Server.process
imported = [m for m in sys.modules if m.startswith("prefect.server")]
print(json.dumps([os.environ["PREFECT_API_URL"], server and server.pid, imported]), flush=True)
sys.stdin.readline()
"""


def command(home, **environment):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("NIGHTJAR", "PREFECT"))}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(home)],
        cwd=ROOT, env=env | environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    return [tmp_path_factory.mktemp(name) for name in ("a", "b")]


@pytest.fixture(scope="module")
def running(homes):
    """Two commands at once, of two homes, each in the middle of its work until a test ends it."""
    both = [command(home) for home in homes]
    yield [(process, *json.loads(process.stdout.readline())) for process in both]
    for process in both:
        process.kill()
        process.wait()


def names(home):
    """Of the flows that a home's database knows."""
    with sqlite3.connect(home / "prefect/prefect.db") as database:
        return [row[0] for row in database.execute("select name from flow")]


def test_the_server_that_the_environment_names_is_used(running, tmp_path):
    (_, url, _, _), _ = running
    third = command(tmp_path / "c", PREFECT_API_URL=url)
    named, started, _ = json.loads(third.communicate("\n")[0])
    assert (named, started) == (url, None) and not (tmp_path / "c/prefect/prefect.db").exists()


def test_commands_at_once_have_servers_of_their_own_that_go_with_them(running, homes):
    (one, url, pid, imported), (_, other_url, other_pid, _) = running
    assert url != other_url and pid != other_pid
    assert imported == [], "the server's imports are the server's"
    assert names(homes[0]) == names(homes[1]) == ["one"]
    (listening,) = [c for c in psutil.Process(pid).net_connections() if c.status == "LISTEN"]
    assert listening.laddr.ip == "127.0.0.1" and f"127.0.0.1:{listening.laddr.port}/" in url
    one.communicate("\n")
    assert not psutil.pid_exists(pid) and not answers(f"{url}/health")
    assert answers(f"{other_url}/health")


def test_a_command_that_is_killed_leaves_no_server(running):
    _, (process, _, pid, _) = running
    process.kill()
    process.wait()
    until = time.monotonic() + 120
    while psutil.pid_exists(pid):
        assert time.monotonic() < until
        time.sleep(0.2)


def test_two_that_start_at_once_on_a_fresh_database_both_serve(tmp_path):
    """Neither writes what both would, such as the block types that Prefect registers at its first start."""
    both = [command(tmp_path / "one") for _ in range(2)]
    ends = [process.communicate("\n")[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len({json.loads(end)[0] for end in ends}) == 2
    with closing(sqlite3.connect(tmp_path / "one/prefect/prefect.db")) as database:
        assert database.execute("select count(*) from block_type").fetchone() == (0,)
    assert not (tmp_path / "one/prefect/memo_store.toml").exists(), "a service's server would register none either"


def test_one_that_does_not_start_says_why(make_home):
    """Such as on a database that a later version of Prefect has made."""
    home = make_home()
    folder = home.path / "home"
    (folder / "prefect").mkdir(parents=True)
    with closing(sqlite3.connect(folder / "prefect/prefect.db")) as database:
        database.execute("create table alembic_version (version_num text)")
        database.execute("insert into alembic_version values ('of-a-later-one')")
        database.commit()
    done = home.night()
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"Prefect's server did not start; its log {folder}/logs/prefect.log ends" in done.stderr, done.stderr
    assert "of-a-later-one" in done.stderr
    assert home.left_running() == []
