"""The night as a user sees it: runs, is cached, is explained; each command tells the truth about it."""

import json
import shutil

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.homes import LEARNT

pytestmark = pytest.mark.slow

STAGES = [
    "catalogue", "events", "interactions", "features", "popularity", "als", "item_similarity", "content_similarity",
    "towers", "embeddings", "index", "ranker", "bundle", "recommendations", "oracle", "evaluation", "release", "report",
]  # fmt: skip


def test_every_stage_ran_and_the_release_was_made(golden):
    record = golden.record()
    assert record["state"] == "succeeded" and record["release"]["version"] == 1
    assert list(golden.states()) == STAGES and set(golden.states().values()) == {"ran"}


def test_the_registry_has_one_version_with_the_bundle_and_the_alias(golden, tmp_path):
    from tasks.registry.registry import Registry
    from tasks.releases.pulling import pull

    registry = Registry(golden.path / "home")
    (version,) = registry.versions()
    assert set(version.aliases) == {"candidate", "champion"}
    (bundle,) = (golden.path / "home/lake/bundle").glob("date=*/*")
    assert version.tags["nightjar.bundle"].endswith(bundle.name)
    released = pull(registry, version, tmp_path / "release")
    manifest = json.loads((tmp_path / "release/manifest.json").read_text())
    assert released.parts == ("all",) and (tmp_path / "release/recommendations/part-00000.parquet").exists()
    assert manifest["index"]["tower_digest"] == manifest["tower_digest"] and manifest["recall"] >= 0.95
    assert {"versions", "metric", "normalisation", "dim", "data_dates", "lineage"} <= set(manifest)
    run = registry.client.get_run(version.run_id)
    assert manifest["evaluation"] == run.data.metrics
    assert run.data.metrics["final.ndcg_at_10"] > 0 and run.data.params["config.k"] == "10"
    assert [f.path for f in registry.client.list_artifacts(version.run_id, "report")] == [
        "report/model_card.md",
        "report/report.html",
    ]


def test_mlflow_alone_serves_the_release(golden, tmp_path):
    import mlflow
    import pandas as pd

    from tasks.registry.registry import Registry

    registry = Registry(golden.path / "home")
    mlflow.set_tracking_uri(registry.uri)
    mlflow.set_registry_uri(registry.uri)
    model = mlflow.pyfunc.load_model("models:/nightjar-recommender@candidate")
    lists = pq.read_table(next((golden.path / "home/lake/recommendations").glob("date=*/*/*.parquet")))
    ids = pq.read_table(next((golden.path / "home/lake/id_map").glob("date=*/*/*.parquet"))).to_pandas()
    outside = ids.set_index(["kind", "id"])["external_id"]
    user = lists["user_id"][0].as_py()
    answer = model.predict(pd.DataFrame({"user_id": [outside["user", user]], "k": [10]}))
    expected = [outside["item", item] for item in lists.slice(0, 10)["item_id"].to_pylist()]
    assert answer["item_id"].tolist() == expected and answer["title"].notna().all()
    two = model.predict(pd.DataFrame({"history": [expected[:2], []], "k": [5, 3]}))
    assert two["request"].tolist() == [0] * 5 + [1] * 3 and not set(two["item_id"][:5]) & set(expected[:2])
    mixed = model.predict(pd.DataFrame([{"user_id": outside["user", user], "k": 10}, {"history": expected[:2]}]))
    assert mixed["item_id"].tolist()[:10] == expected and (mixed["request"] == 1).sum() == 10, "as long as its own"
    nobody = model.predict(pd.DataFrame({"user_id": ["nobody"], "k": [3]}))
    assert nobody["item_id"].tolist() == two["item_id"].tolist()[5:]


def test_the_pointers_name_what_the_night_made(golden):
    lake = golden.path / "home/lake"
    for name in ("recommendations", "embeddings"):
        pointer = json.loads((lake / f"current/{name}.json").read_text())
        assert pointer["schema_version"] == 2 and (lake / pointer["path"] / "manifest.json").exists()


def test_data_docs_and_report_are_there(golden):
    release = golden.record()["release"]
    report = (golden.path / "home" / release["report"]).read_text()
    assert "nightjar-recommender 1" in report and "http://" not in report and "https://" not in report
    assert (golden.path / "home/data-docs/index.html").exists()


@pytest.fixture(scope="module")
def home(continued):
    """A home with a release of its own."""
    found = continued()
    done = found.night()
    assert done.returncode == 0, done.stdout + done.stderr
    assert found.ran() == {"release", "report"}
    return found


def test_the_second_run_is_cached_and_changes_nothing(home):
    before = home.digests()
    done = home.night()
    assert done.returncode == 0, done.stderr
    assert set(home.states().values()) == {"cached"} and home.digests() == before


def test_a_night_whose_spark_stages_stand_starts_no_jvm(home):
    """Two nights ran in this home; Spark's log is the first thing that a start of it makes."""
    assert not (home.path / "home/logs/spark.log").exists()


def test_nothing_is_left_running_or_lying_aside(home):
    assert home.left_running() == []
    assert list((home.path / "home/lake/.staging").iterdir()) == []


def test_explain_without_a_config_tells_of_the_last_run(golden):
    out = golden.ask("explain").stdout
    assert all(name in out for name in STAGES) and "would run" not in out


def test_a_changed_setting_reruns_its_descendants_and_nothing_else(golden):
    out = golden.ask("explain", str(golden.config), "--set", "als.factors=9").stdout
    runs = {line.split()[0] for line in out.splitlines() if "would run" in line}
    assert runs == {"als", "bundle", "recommendations", "evaluation", "release", "report"}
    assert "config config.factors 8 -> 9" in " ".join(out.split())


def test_a_dry_run_writes_nothing(make_home):
    home = make_home()
    done = home.ask("run", str(home.config), "--dry-run")
    assert done.returncode == 0 and done.stdout.count("would run") == len(STAGES)
    assert not list((home.path / "home/lake").iterdir()) and not list((home.path / "home/runs").iterdir())


def test_from_runs_a_stage_and_everything_after_it(golden):
    out = golden.ask("run", str(golden.config), "--from", "evaluation", "--dry-run").stdout
    assert {line.split()[0] for line in out.splitlines() if "would run" in line} == {"evaluation", "release", "report"}


@pytest.mark.parametrize("dataset", ["watches", "recommendations", "item_similarity", "users"])
def test_show_tells_schema_rows_lineage_and_audit(golden, dataset):
    out = golden.ask("show", dataset).stdout
    assert all(text in out for text in ("lineage", "audit: passed", "rows", "meaning"))


def test_show_follows_lineage_through_every_source(golden):
    """Those that a stage reads under one name are of many datasets."""
    out = golden.ask("show", "bundle").stdout
    sources = ("als_user_factors", "als_item_factors", "item_similarity", "content_similarity", "popularity")
    assert all(f": {name} 20" in out for name in (*sources, "interactions", "towers"))


def test_show_follows_lineage_to_the_raw_inputs(golden):
    out = golden.ask("show", "recommendations").stdout
    assert all(name in out for name in ("bundle", "towers", "watches", "made by events from its settings"))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_export_writes_the_whole_dataset_with_outside_ids(golden, tmp_path, suffix):
    target = tmp_path / f"lists.{suffix}"
    assert golden.ask("export", "recommendations", "--to", str(target)).returncode == 0
    rows = pyarrow.csv.read_csv(target) if suffix == "csv" else pq.read_table(target)
    stored = _stored(golden, "recommendations")
    assert rows.column_names == ["external_user_id", "rank", "external_item_id", "score", "source", "reason"]
    for name in ("external_user_id", "external_item_id", "rank"):
        assert list(map(str, rows[name].to_pylist())) == list(map(str, stored[name].to_pylist()))
    assert golden.ask("export", "recommendations", "--dense-ids", "--to", str(target)).returncode == 0
    whole = pyarrow.csv.read_csv(target) if suffix == "csv" else pq.read_table(target)
    assert whole.column_names == stored.column_names and whole["user_id"].to_pylist() == stored["user_id"].to_pylist()


@pytest.mark.parametrize("dataset, column", [("watches", "item_id"), ("histories", "item_ids")])
def test_export_knows_the_outside_ids_of_what_has_none_of_its_own(golden, tmp_path, dataset, column):
    """Also of a day of events, which is made from nothing that has an id map."""
    known = _stored(golden, "id_map").to_pylist()
    outside = {row["id"]: row["external_id"] for row in known if row["kind"] == "item"}
    target = tmp_path / "rows.parquet"
    assert golden.ask("export", dataset, "--to", str(target)).returncode == 0
    exported = pq.read_table(target)
    date = golden.ask("export", dataset, "--dense-ids", "--to", str(target)).stdout.split()[4]
    stored = _stored(golden, dataset, date)[column].to_pylist()
    expected = [[outside[i] for i in ids] if isinstance(ids, list) else outside[ids] for ids in stored]
    assert exported[f"external_{column}"].to_pylist() == expected and column not in exported.column_names


def _stored(home, dataset, date="*"):
    return pq.read_table(sorted((home.path / f"home/lake/{dataset}").glob(f"date={date}/*/*.parquet"))[-1])


def test_gc_keeps_what_a_release_needs_and_takes_the_rest(home):
    assert "/date=" not in home.ask("gc", "--keep-days", "0").stdout  # records of older runs may go
    lake = home.path / "home/lake"
    (index,) = (lake / "index").glob("date=*/*")
    stray = index.with_name("f" * 32)
    shutil.copytree(index, stray)
    out = home.ask("gc", "--keep-days", "0").stdout
    assert "f" * 32 in out and stray.exists()
    home.ask("gc", "--keep-days", "0", "--delete", "--grace-hours", "0")
    assert not stray.exists() and index.exists()


def test_a_corrected_day_reruns_its_descendants_only(home):
    """A damaged day is made again; as its content is the same, nothing after it runs."""
    part = sorted((home.path / "home/lake/watches").glob("date=*/*/*.parquet"))[3]
    part.write_bytes(part.read_bytes()[:-20])
    before = home.digests()
    assert home.night().returncode == 0
    assert home.ran() == {"events"}
    assert home.digests() == before


def test_every_filter_removes_something(golden):
    (path,) = (golden.path / "home/lake/recommendations").glob("date=*/*/manifest.json")
    removals = json.loads(path.read_text())["notes"]["removals"]
    assert all(removals.get(reason, 0) > 0 for reason in ("seen", "region", "tier", "maturity", "availability")), (
        removals
    )


@pytest.mark.parametrize(
    "start", ["after Spark", pytest.param("from nothing", marks=[pytest.mark.soak, pytest.mark.timeout(1200)])]
)
def test_two_runs_at_once_in_one_home(make_home, continued, golden, prefect, start):
    home = make_home() if start == "from nothing" else continued(LEARNT, prefect=prefect)
    runs = [home.command("run", str(home.config)) for _ in range(2)]
    ends = [run.wait(1000) for run in runs]
    assert [end.returncode for end in ends] == [0, 0], ends
    assert home.digests() == golden.digests()
    from tasks.registry.ledger import Ledger
    from tasks.registry.registry import Registry

    registry = Registry(home.path / "home")
    assert len(registry.versions()) == 1
    (entry,) = Ledger(registry).entries()
    assert entry.moves and entry.to == 1


@pytest.fixture(scope="module")
def two_releases(continued, prefect):
    """A home with a good release and one whose lists only want to be varied."""
    home = continued(prefect=prefect)
    done = home.night()
    assert done.returncode == 0 and "it is the champion now" in done.stdout, done.stdout + done.stderr
    # Variety alone decides: of a large pool, whatever is least like the rest of the list.
    done = home.night("--set", "pipeline.order.mmr_lambda=0", "--set", "pipeline.pool_size=250")
    assert done.returncode == 0 and "Refused by its gates" in done.stdout, done.stdout + done.stderr
    return home


def test_the_first_release_is_champion_and_a_worse_one_is_refused(two_releases):
    from tasks.registry.ledger import Ledger
    from tasks.registry.registry import Registry

    registry = Registry(two_releases.path / "home")
    assert registry.aliases() == {"candidate": 2, "champion": 1}
    (promoted, refused) = Ledger(registry).entries()
    assert promoted.to == 1 and refused.action == "gate" and refused.to == 2
    assert set(refused.gates) == {
        "audits", "index_recall", "coverage", "cold_start", "ndcg", "recall", "segments", "empty_lists", "latency_ms",
    }  # fmt: skip
    assert all(v["value"] is not None for v in refused.gates.values()), refused.gates
    assert not refused.gates["ndcg"]["passed"] and refused.gates["audits"]["passed"]
    assert "failed" in (two_releases.path / "home" / two_releases.record()["release"]["report"]).read_text()


def test_two_releases_are_compared(two_releases):
    found = json.loads(two_releases.ask("compare", "@champion", "2", "--json").stdout)
    assert (found["a"], found["b"], found["notes"]) == (1, 2, [])
    ndcg = found["metrics"]["final.ndcg_at_10"]
    assert ndcg["difference"] == ndcg["b"] - ndcg["a"] < 0
    assert 0 < found["overlap"] < 1 and any("ndcg@10" in name for name in found["segments"])
    _same_users_tell_the_same_as_the_gates(two_releases, found)
    assert found["files"] == ["pipeline.json", "recommendations/part-00000.parquet"], "all that differs"
    written = (two_releases.path / "home/lake/recommendations").glob("date=*/*/*.parquet")
    tables = [pq.read_table(path).to_pandas() for path in sorted(written, key=lambda p: p.stat().st_mtime)]
    lists = [table.groupby("user_id")["item_id"].agg(set) for table in tables]
    overlap = sum(len(a & b) / len(a) for a, b in zip(*lists, strict=True)) / len(lists[0])
    assert found["overlap"] == pytest.approx(overlap)
    assert "files that differ: pipeline.json, recommendations/" in two_releases.ask("compare", "1", "2").stdout


def _same_users_tell_the_same_as_the_gates(home, found):
    """Both come from the bundles alone, by ways of their own."""
    paired = found["paired"]
    from tasks.registry.ledger import Ledger
    from tasks.registry.registry import Registry

    gates = Ledger(Registry(home.path / "home")).entries()[-1].gates
    assert paired["judged_by"] == 2 and paired["judged_days"] == ["2026-01-11", "2026-01-12"]
    for metric in ("ndcg", "recall"):
        row = paired["figures"][f"all {metric}@10"]
        assert row["difference"] / row["a"] == pytest.approx(gates[metric]["value"])
        assert row["b"] - row["a"] == pytest.approx(row["difference"]) and row["low"] < row["difference"] < row["high"]
        assert row["a"] == pytest.approx(found["metrics"][f"final.{metric}_at_10"]["a"]), "asked anew it says the same"
        assert row["p_value"] < 0.05 and row["users"] == paired["users"] > 20
    told = home.ask("compare", "2", "1").stdout
    assert "both on the same" in told and f"{-paired['figures']['all ndcg@10']['difference']:+.4f}" in told
    assert "both are version 1" in home.ask("compare", "1", "@champion").stderr


def test_a_champion_whose_files_are_gone_fails_the_gates_that_need_it(two_releases):
    from tasks.registry.ledger import Ledger
    from tasks.registry.registry import Registry
    from tasks.releases.pulling import pull

    registry = Registry(two_releases.path / "home")
    pull(registry, registry.find("1"), two_releases.path / "copy")
    kept = {(two_releases.path / "copy" / "pipeline.json").read_bytes()}
    for path in (two_releases.path / "home/mlflow/artifacts").rglob("pipeline.json"):
        if path.read_bytes() in kept:
            path.unlink()
    done = two_releases.night("--set", "pipeline.rank.ranker_weight=0.2")
    assert done.returncode == 0 and "could not be computed" in done.stdout, done.stdout + done.stderr
    refused = Ledger(registry).entries()[-1]
    failed = {name for name, verdict in refused.gates.items() if not verdict["passed"]}
    assert failed == {"ndcg", "recall", "segments"} and registry.aliases()["champion"] == 1
