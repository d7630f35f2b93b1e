"""A log in a database is the same as in a file, read in one transaction and bounded memory; no secret is told."""

import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import psycopg2
import psycopg2.extras
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import Failure, UserError
from flows.config import load_config
from tasks.sources.catalogue import known_by
from tasks.sources.config import EventColumns, ItemsFile, SourceConfig, UsersFile
from tasks.sources.database_values import as_array
from tasks.sources.parsed_files import parse
from tasks.sources.values import as_text
from tests.tasks.sources.conftest import COLUMNS, write_parquet

USERS = UsersFile(table="people", id="uid", age="Age", gender="Sex")
ITEMS = ItemsFile(
    query='SELECT * FROM films WHERE "iid" > 0;', id="iid", title="Name", genres="Genres", content_type="Kind"
)


def fill(url, world, times=sa.DateTime):
    """The tables of a world, whatever the database."""
    engine, meta = sa.create_engine(url), sa.MetaData()
    events = sa.Table(
        "Events",
        meta,
        *[
            sa.Column(n, t)
            for n, t in (("uid", sa.Integer), ("iid", sa.BigInteger), ("at", times), ("stars", sa.Numeric(10, 2)))
        ],
    )
    people = sa.Table(
        "people", meta, *[sa.Column(n, t) for n, t in (("uid", sa.Integer), ("Age", sa.SmallInteger), ("Sex", sa.Text))]
    )
    films = sa.Table(
        "films", meta, *[sa.Column(n, sa.Integer if n == "iid" else sa.Text) for n in ("iid", "Name", "Genres", "Kind")]
    )
    meta.create_all(engine)
    with engine.begin() as connection:
        connection.execute(
            sa.insert(events),
            [
                {
                    "uid": e.user,
                    "iid": e.item,
                    "at": datetime.fromtimestamp(e.time, UTC).replace(tzinfo=None),
                    "stars": Decimal(e.rating),
                }
                for e in world.events
            ],
        )
        connection.execute(sa.insert(people), [{"uid": u.user, "Age": u.age, "Sex": u.gender} for u in world.users])
        connection.execute(
            sa.insert(films),
            [{"iid": i.item, "Name": i.title, "Genres": "|".join(i.genres), "Kind": "movie"} for i in world.items],
        )
    engine.dispose()


def database(url, **settings):
    return SourceConfig(
        **{
            "kind": "sql",
            "url": str(url),
            "table": "Events",
            "columns": COLUMNS,
            "users": USERS,
            "items": ITEMS,
            **settings,
        }
    )


@pytest.fixture
def sqlite(tmp_path, world):
    url = f"sqlite:///{tmp_path}/odd $x %2F #1 log.db"
    fill(sa.URL.create("sqlite", database=f"{tmp_path}/odd $x %2F #1 log.db"), world)
    return url


@pytest.fixture
def postgresql(postgres, monkeypatch):
    """A PostgreSQL database of one's own, whose URL with a password is in the environment."""
    name = f"log_{os.urandom(4).hex()}"
    connection = psycopg2.connect(f"{postgres}/postgres")
    connection.autocommit = True
    connection.cursor().execute(f"CREATE DATABASE {name}")
    connection.close()
    monkeypatch.setenv("LOG_URL", f"{postgres}/{name}")
    return f"{postgres}/{name}"


def same(found, other):
    assert (found.days, found.rows) == (other.days, other.rows)
    for day in (other.first_day, other.last_day):
        assert known_by(found, day).digests == known_by(other, day).digests


def test_a_log_in_sqlite_is_the_same_as_in_files(sqlite, world, look, tmp_path):
    files = look(write_parquet(world, tmp_path / "files"))
    found = look(database(sqlite))
    same(found, files)
    # A query in place of a table, files for users.
    query = 'SELECT *, 1 AS "100%" FROM "Events" WHERE "uid" > 0 OR \'%\' = \'%s\' ; '
    same(
        look(
            database(
                sqlite, table="", query=query, users=replace(USERS, table="", path=str(tmp_path / "files/users.csv"))
            )
        ),
        files,
    )


def test_a_log_in_postgresql_is_the_same_as_in_files(postgresql, world, look, tmp_path):
    fill(postgresql, world)
    same(look(database("${LOG_URL}")), look(write_parquet(world, tmp_path / "files")))
    # And with a part of the URL in the environment.
    url = postgresql.replace("se%3Acret%2F1", "${LOG_PASSWORD}")
    os.environ["LOG_PASSWORD"] = "se:cret/1"
    try:
        same(look(database(url)), look(database("${LOG_URL}")))
    finally:
        del os.environ["LOG_PASSWORD"]


def test_every_type_of_postgresql_is_understood(postgresql, look):
    with psycopg2.connect(postgresql) as connection:
        cursor = connection.cursor()
        cursor.execute("""
            CREATE SCHEMA "Odd";
            CREATE TABLE "Odd"."the events" (u uuid, i numeric(20), t timestamptz, d date, ok boolean, s numeric(5, 2));
            INSERT INTO "Odd"."the events" VALUES
              ('00000000-0000-0000-0000-000000000007', 700, '2025-03-01 23:30-02', '2025-03-05', true, 1.50),
              ('00000000-0000-0000-0000-000000000008', 12345678901234567890, '2025-03-02 06:00:00.123456Z',
               '2025-03-06', false, NULL);
            CREATE TABLE items (i numeric, names text[], made timestamp, vec double precision[]);
            INSERT INTO items VALUES (700.00, '{Noir,Comedy}', '2025-01-01 12:00', '{1,2.5}');
        """)
    items = ItemsFile(table="items", id="i", genres="names", uploaded_at="made", embedding="vec")
    columns = EventColumns(user="u", item="i", time="t", rating="s", weight="")
    found = look(SourceConfig(kind="sql", url="${LOG_URL}", table="Odd.the events", columns=columns, items=items))
    assert found.rows == {"2025-03-02": 2}
    assert found.ids("user").external.to_pylist() == [f"00000000-0000-0000-0000-00000000000{n}" for n in (7, 8)][::1]
    assert set(found.ids("item").external.to_pylist()) == {"700", "12345678901234567890"}
    listed = {i["external_id"]: i for i in found.listing("item").to_pylist()}["700"]
    assert (listed["genres"], listed["embedding"]) == (["Noir", "Comedy"], [1.0, 2.5])
    assert listed["uploaded_at"] == datetime(2025, 1, 1, 12, tzinfo=UTC)
    # A date and a boolean as time and rating.
    columns = EventColumns(user="u", item="i", time="d", rating="ok")
    found = look(SourceConfig(kind="sql", url="${LOG_URL}", query='SELECT * FROM "Odd"."the events"', columns=columns))
    assert found.rows == {"2025-03-05": 1, "2025-03-06": 1}


def test_all_days_are_of_one_moment(postgresql, world, look, monkeypatch):
    fill(postgresql, world)
    before = look(database("${LOG_URL}"))
    staged = __import__("tasks.sources.databases", fromlist=["_staged"])._staged

    def meanwhile(folder, what, pieces):
        if what == "Events":
            with psycopg2.connect(postgresql) as other:
                other.cursor().execute('INSERT INTO "Events" SELECT 999, 5, at, 1 FROM "Events"; DELETE FROM films')
        return staged(folder, what, pieces)

    monkeypatch.setattr("tasks.sources.databases._staged", meanwhile)
    same(look(database("${LOG_URL}")), before)


def test_only_days_that_changed_are_parsed_again(sqlite, look, monkeypatch, tmp_path):
    parsed = []

    def noted(file, *rest):
        parsed.append(file.name)
        return parse(file, *rest)

    monkeypatch.setattr("tasks.sources.scan.parse", noted)
    first = look(database(sqlite))
    assert len(parsed) == len(set(parsed)) == 11, "a file for each day with events"
    parsed.clear()
    look(database(sqlite))
    assert not parsed
    connection = sqlite3.connect(tmp_path / "odd $x %2F #1 log.db")
    connection.execute("UPDATE \"Events\" SET stars = stars + 1 WHERE at LIKE '2020-03-05%'")
    connection.commit()
    after = look(database(sqlite))
    assert parsed == ["Events 2020-03-05"]
    assert {d for d in first.days if first.days[d] != after.days[d]} == {"2020-03-05"}


NUMBERS = st.one_of(st.integers(), st.decimals(allow_nan=False, allow_infinity=False), st.text(), st.uuids(), st.none())


@given(st.lists(st.integers(-(10**30), 10**30)))
def test_whole_numbers_are_the_same_ids_as_integers_and_as_decimals(numbers):
    as_ids = [
        as_text(as_array(some), "").to_pylist()
        for some in (numbers, [Decimal(n) for n in numbers], list(map(str, numbers)))
    ]
    assert as_ids[0] == as_ids[1] == as_ids[2] == list(map(str, numbers))


@given(st.lists(NUMBERS))
def test_values_of_several_kinds_are_texts(values):
    assert len(as_array(values)) == len(values)
    assert as_array(values).null_count == values.count(None)


def test_times_with_and_without_a_zone_are_one_column():
    plus2 = timezone(timedelta(hours=2))
    found = as_array([datetime(2025, 3, 1, 8, tzinfo=plus2), datetime(2025, 3, 1, 6), None])
    assert found.to_pylist() == [datetime(2025, 3, 1, 6, tzinfo=UTC)] * 2 + [None]
    assert as_array([date(2025, 3, 1), None]).type == pa.date32()
    assert as_array([UUID(int=7)]).to_pylist() == [str(UUID(int=7))]


SCRIPT = """
import resource, sys
from pathlib import Path
from tasks.sources.config import SourceConfig
from tasks.sources import databases, reading
from tasks.sources.databases import find_sql
databases.FETCH_ROWS = 5_000
source = find_sql(SourceConfig(kind="sql", url=sys.argv[1], table="events"), Path(sys.argv[2]))
import pyarrow.parquet as pq
print(sum(pq.read_metadata(f.path).num_rows for f in source.logs), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
ROWS = """
    WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {last})
    INSERT INTO events SELECT n % 997, 'item-' || (n % 499), {start}, {padding} FROM n
"""


def peak_kib(url, home):
    call = [sys.executable, "-c", SCRIPT, url, str(home)]
    done = subprocess.run(call, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True)
    rows, peak = map(int, done.stdout.split())
    return rows, peak


def test_sqlite_is_read_in_bounded_memory(tmp_path):
    peaks = {}
    for rows in (5_000, 300_000):
        connection = sqlite3.connect(tmp_path / f"{rows}.db")
        connection.execute("CREATE TABLE events (user int, item text, time int, padding text)")
        connection.execute(ROWS.format(last=rows - 1, start="1500000000 + n / 3", padding="hex(zeroblob(100))"))
        connection.commit()
        found, peaks[rows] = peak_kib(f"sqlite:///{tmp_path}/{rows}.db", tmp_path / "home")
        assert found == rows
    # Held whole as Python values, these rows would take over 60 MB.
    assert (peaks[300_000] - peaks[5_000]) * 1024 < 30e6


def test_postgresql_is_read_in_bounded_memory(postgresql, tmp_path):
    peaks = {}
    for rows in (5_000, 300_000):
        with psycopg2.connect(postgresql) as connection:
            cursor = connection.cursor()
            cursor.execute("DROP TABLE IF EXISTS events")
            cursor.execute('CREATE TABLE events ("user" int, item text, time timestamptz, padding text)')
            cursor.execute(
                ROWS.format(last=rows - 1, start="to_timestamp(1500000000 + n / 3)", padding="repeat('x', 200)")
            )
        found, peaks[rows] = peak_kib("${LOG_URL}", tmp_path / "home")
        assert found == rows
    assert (peaks[300_000] - peaks[5_000]) * 1024 < 30e6


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"url": ""}, r"source.url is not set; say where the database is"),
        ({"url": "${NOT_THERE}"}, r"source.url: the environment variable NOT_THERE is not set"),
        ({"url": "nonsense"}, r"source.url is no URL of a database; write postgresql://"),
        ({"url": "mysql://u@h/d"}, r"nothing is installed that speaks to mysql; install pymysql"),
        ({"url": "duckdb:///x"}, r"nothing is installed that speaks to duckdb; install duckdb-engine"),
        ({"url": "postgres://u@h/d"}, r"nothing is installed that speaks to postgres; write postgresql://"),
        ({"url": "postgresql+asyncpg://u@h/d"}, r"postgresql\+asyncpg is for asyncio; write postgresql://"),
        ({"url": "sqlite:////nowhere/x.db"}, r"/nowhere/x.db does not exist; give the path of a SQLite file"),
        ({"url": "postgresql://u@127.0.0.1:9/d"}, r"postgresql://u@127.0.0.1:9/d does not answer \(.*refused"),
        ({"table": "evnts"}, r"source.table: evnts cannot be read from .*it has Events, films, people; name one"),
        ({"table": "", "query": "SELEC 1"}, r"source.query is refused by sqlite.* \(.*syntax error\)"),
        ({"snapshot": "3"}, r"source.path and source.snapshot are for files; leave them out"),
        ({"kind": "table", "path": "."}, r"source: table and query are for a database; set source.kind to sql"),
        ({"table": ""}, r"source: set either source.table or source.query"),
        ({"query": "SELECT 1"}, r"source: set either source.table or source.query"),
        ({"columns": replace(COLUMNS, user="UID")}, r"no column 'UID'; it has 'uid', .* Did you mean 'uid'"),
        ({"users": replace(USERS, table="nobody")}, r"source.users.table: nobody cannot be read"),
        ({"items": replace(ITEMS, title="Title")}, r"source.items: the query of .* has no column 'Title'"),
        ({"table": "", "query": "SELECT * FROM \"Events\" WHERE json('{')"}, r"^source.query is refused by .*JSON"),
        ({"users": replace(USERS, path="u.csv")}, r"^source.users.path and source.users.table are both set; keep"),
        ({"items": replace(ITEMS, path="i.csv")}, r"^source.items.path and source.items.query are both set; keep"),
        ({"table": "", "query": "SELECT uid, iid, 'x' AS at, stars FROM \"Events\""}, r"^source.query: \d+ rows of "),
        ({"table": "", "query": "SELECT * FROM \"Events\" WHERE uid = 1000"}, r"source: the query of .* has no rows"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_sentence(sqlite, look, settings, says):
    with pytest.raises(UserError, match=says) as told:
        look(replace(database(sqlite), **settings))
    assert "\n" not in str(told.value).partition("cannot be used:")[0]


@pytest.mark.parametrize(
    ("item", "says"), [("to_json(iid)", "ordering operator for type json"), ("iid / (iid - iid)", "division by zero")]
)
def test_what_a_database_refuses_while_rows_are_read_is_no_reason_to_run_again(postgresql, world, look, item, says):
    fill(postgresql, world)
    query = f'SELECT uid, {item} AS iid, at, stars FROM "Events"'
    with pytest.raises(UserError, match=rf"^source.query is refused by postgresql.*{says}.*; correct it$"):
        look(database("${LOG_URL}", table="", query=query))


def test_a_password_is_in_no_config_and_no_message(postgresql, world, look, home, monkeypatch, tmp_path):
    fill(postgresql, world)
    for url in ("postgresql://u:geheim@h/d", "postgresql://h/d?user=u&password=geheim"):
        config = tmp_path / "night.yaml"
        config.write_text(f"source: {{kind: sql, url: '{url}', table: t}}\n")
        with pytest.raises(
            UserError, match=r"source.url is .*it has a password in it, .*; write \$\{NAME\} for it"
        ) as told:
            load_config(config)
        assert "geheim" not in str(told.value)
    look(database("${LOG_URL}"))
    monkeypatch.setenv("LOG_URL", postgresql.replace("cret", "gredient"))
    with pytest.raises(UserError, match=r"does not answer \(.*authentication failed") as told:
        look(database("${LOG_URL}"))
    assert "gredient" not in str(told.value)
    kept = b"".join(p.read_bytes() + str(p).encode() for p in home.rglob("*") if p.is_file())
    assert b"cret" not in kept and b"gredient" not in kept


def test_a_database_that_breaks_off_is_told(postgresql, world, look, monkeypatch):
    fill(postgresql, world)
    staged = __import__("tasks.sources.databases", fromlist=["_staged"])._staged

    def broken(folder, what, pieces):
        with psycopg2.connect(postgresql) as other:
            other.cursor().execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        return staged(folder, what, pieces)

    monkeypatch.setattr("tasks.sources.databases._staged", broken)
    monkeypatch.setattr("tasks.sources.databases.FETCH_ROWS", 3)
    with pytest.raises(
        Failure, match=r"^postgresql://night@127.0.0.1:\d+/log_\w+ broke off while it was read \(.*\); run"
    ):
        look(database("${LOG_URL}"))
