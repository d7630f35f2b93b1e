"""The audit as the lake calls it: verdicts that keep, warm start, Data Docs, no network."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.datasets import ACTIONS, TOWERS
from tasks.engine.audit import audit, build_docs

DAY = "2026-03-01"


def write_actions(folder: Path, **changed: Any) -> Path:
    """Three actions, the last of them changed."""
    moment = datetime(2026, 3, 1, 20, tzinfo=UTC)
    rows = [{"action_id": n, "user_id": n, "item_id": n, "time": moment, "action": "like"} for n in range(3)]
    rows[2].update(changed)
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=ACTIONS.schema), folder / "part-00000.parquet")
    return folder


def test_good_and_bad_artifacts_of_one_call(tmp_path: Path) -> None:
    parts = {DAY: write_actions(tmp_path / "a"), "2026-03-02": write_actions(tmp_path / "b", action="dance")}
    verdicts = audit(ACTIONS, parts, {"user_id": pa.array(range(3), pa.int32()), "item_id": None})
    assert verdicts[DAY].passed
    assert {f.column for f in verdicts["2026-03-02"].failures} == {"action", "hours_into_day(time)"}


def test_what_a_manifest_keeps_does_not_depend_on_company(tmp_path: Path) -> None:
    parts = {DAY: write_actions(tmp_path / "a", value=9.0)}
    alone = audit(ACTIONS, parts)[DAY]
    company = {f"2026-02-{day}": 50_000 for day in range(20, 29)}
    ids = pa.array(range(3), pa.int32())
    crowded = audit(ACTIONS, parts, {"user_id": ids, "item_id": ids}, company)[DAY]
    assert len(crowded.warnings) > len(alone.warnings)
    assert json.dumps(crowded.summary()) == json.dumps(alone.summary())
    assert [w["column"] for w in alone.summary()["warnings"]] == ["value"]


def test_findings_are_json(tmp_path: Path) -> None:
    verdict = audit(ACTIONS, {DAY: write_actions(tmp_path / "a", action="dance", value=float("nan"))})[DAY]
    assert len(verdict.failures) == 2
    for finding in verdict.failures:
        assert json.loads(json.dumps(finding.to_dict(), allow_nan=False))["examples"] == list(finding.examples)


def test_a_folder_of_files_passes(tmp_path: Path) -> None:
    assert audit(TOWERS, {DAY: tmp_path})[DAY].passed


def test_data_docs_show_what_was_audited(tmp_path: Path) -> None:
    docs = tmp_path / "data-docs"
    audit(ACTIONS, {DAY: write_actions(tmp_path / "a")}, docs_dir=docs)
    index = build_docs(docs)
    assert index == docs / "index.html" and "actions" in index.read_text()
    # Building uses a context of its own; audits go on after it.
    assert audit(ACTIONS, {DAY: write_actions(tmp_path / "b")})[DAY].passed


def test_docs_are_built_again_only_when_something_was_audited(tmp_path: Path) -> None:
    docs = tmp_path / "data-docs"
    audit(ACTIONS, {DAY: write_actions(tmp_path / "a")}, docs_dir=docs)
    index = build_docs(docs)
    built = index.stat().st_mtime_ns
    assert build_docs(docs).stat().st_mtime_ns == built
    audit(ACTIONS, {DAY: write_actions(tmp_path / "b")}, docs_dir=docs)
    assert build_docs(docs).stat().st_mtime_ns > built
    index.unlink()
    assert build_docs(docs).exists()


_OFFLINE = """
import socket, sys
from pathlib import Path

def refuse(*args, **kwargs):
    print("network", args, file=sys.stderr)
    raise SystemExit("something asked the network")

socket.getaddrinfo = refuse
socket.socket.connect = refuse

if __name__ == "__main__":
    from expectations.datasets import ACTIONS
    from tasks.engine.audit import audit, build_docs, warm_up

    warm_up()
    folder = Path(sys.argv[1])
    print(audit(ACTIONS, {"2026-03-01": folder}, docs_dir=folder / "docs")["2026-03-01"].passed)
    print(build_docs(folder / "docs").exists())
    print(sorted(p.name for p in Path.home().iterdir()))
"""


def test_nothing_asks_the_network_prints_or_writes_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script, home = tmp_path / "offline.py", tmp_path / "home"
    script.write_text(_OFFLINE)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[3]))
    monkeypatch.delenv("GX_ANALYTICS_ENABLED", raising=False)
    command = [sys.executable, "-W", "ignore", str(script), str(write_actions(tmp_path / "a"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["True", "True", "[]"]
