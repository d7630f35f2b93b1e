"""What is away is told in one sentence with the remedy, in whatever guise libraries tell it."""

import errno
import sqlite3
from pathlib import Path

import httpx
import pytest
import sqlalchemy
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from expectations.errors import Failure, UserError
from flows.outages import Outage, in_our_words
from tasks.engine.lake import Lake

NOBODY = "http://127.0.0.1:9"


def _prefect(_):
    with temporary_settings({PREFECT_API_URL: f"{NOBODY}/api"}), get_client(sync_client=True) as client:
        client.read_flows()


def _mlflow(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    MlflowClient(NOBODY, NOBODY).search_registered_models()


def _postgresql(_):
    sqlalchemy.create_engine("postgresql+psycopg2://night@127.0.0.1:9/mlflow").connect()


def _object_store(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    Lake("s3://lakes/night?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1", Path("scratch")).dates("users")


def _full_disk(_):
    raise OSError(errno.ENOSPC, "No space left on device", "/some/file")


def _full_database(_):
    raise sqlite3.OperationalError("database or disk is full")


@pytest.mark.parametrize(
    "fails, says, remedy",
    [
        (_prefect, "als: Prefect's server ", "nightjar up"),
        (_mlflow, "als: the registry, or the database behind it, does not answer (connection refused)", "nightjar up"),
        (_postgresql, "als: the registry, or the database behind it, does not answer", "start PostgreSQL"),
        (_object_store, "als: the lake's object store does not answer", "bring it back"),
        (_full_disk, "als: the disk is full at ", "nightjar gc --delete"),
        (_full_database, "als: the disk is full at ", "nightjar gc --delete"),
    ],
)
def test_what_is_away_is_told_in_a_sentence_with_the_remedy(tmp_path, monkeypatch, fails, says, remedy):
    with pytest.raises(Exception) as raised:
        fails(monkeypatch)
    told = in_our_words(raised.value, tmp_path, "als")
    assert isinstance(told, Outage) and str(told).startswith(says) and remedy in str(told)
    assert "run the same command again: what was published stands" in str(told) and "\n" not in str(told)
    # Whatever a library makes of it on the way.
    around = RuntimeError("something went wrong")
    around.__cause__ = raised.value
    assert str(in_our_words(around, tmp_path, "als")) == str(told)


@pytest.mark.parametrize(
    "error", [ValueError("7 is no day"), KeyError("als"), FileNotFoundError(2, "no such file", "x")]
)
def test_another_error_is_not_taken_for_an_outage(tmp_path, error):
    assert in_our_words(error, tmp_path) is None


@pytest.mark.parametrize("error", [UserError("no such stage"), Failure("audit failed")])
def test_what_is_told_already_stays_as_it_is(tmp_path, error):
    error.__cause__ = httpx.ConnectError("Connection refused")
    assert in_our_words(error, tmp_path) is error
