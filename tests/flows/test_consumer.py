"""Another team's machine: a whole night's release, pulled, in an environment without this project."""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pyarrow.parquet as pq
import pytest

from tests.homes import ROOT
from tests.servers import free_port, serving, wait_for

NEEDED = ("faiss-cpu", "onnxruntime", "pyarrow", "numpy")

CONSUMER = """
import json, sys
from pathlib import Path
folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
import pyarrow.parquet as pq
from bundle import Bundle

release = Bundle(folder)
night = pq.read_table(folder / "recommendations")
users = sorted(set(night["user_id"].to_pylist()))
mine = release.recommend(users).table
items, _ = release.retrieve("towers", users, 50)
print(json.dumps({
    "users": len(users),
    "rows": night.num_rows,
    "differing": [c for c in mine.column_names if not mine[c].cast(night.schema.field(c).type).equals(night[c])],
    "misnamed": [
        kind for kind in ("user", "item")
        if release.ids(kind, night[f"external_{kind}_id"].to_pylist()).tolist() != night[f"{kind}_id"].to_pylist()
    ],
    "retrieved": int((items >= 0).sum(axis=1).min()),
    "unwanted": sorted({m.split(".")[0] for m in sys.modules} & {"torch", "mlflow", "pandas", "models", "tasks"}),
}))
"""


@pytest.fixture(scope="module", params=["small", pytest.param("demo", marks=pytest.mark.soak)])
def night(request, make_home, continued, prefect):
    """A home with one release; of the demo, a little larger, as some have not signed up by the day it knows."""
    if request.param == "small":
        home, users, retrieved, k, day = continued(prefect=prefect), 140, 20, 10, "2026-01-12"
    else:
        demo = (ROOT / "deployments" / "demo.yaml").read_text()
        home, users, retrieved, k, day = (
            make_home(demo.replace("users: 1000", "users: 1100")),
            1000,
            50,
            20,
            "2026-01-30",
        )
    home.users, home.retrieved, home.k, home.day = users, retrieved, k, day
    done = home.night()
    assert done.returncode == 0 and "it is the champion now" in done.stdout, done.stdout + done.stderr
    return home


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A Python that has what the bundle's README asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True, timeout=400)
    python = folder / "venv" / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-c"]
    subprocess.run([*pip, str(ROOT / "constraints.txt"), *NEEDED], check=True, timeout=400)
    return python


@pytest.mark.parametrize("way", ["nightjar", "mlflow"])
def test_it_gives_exactly_the_night_s_recommendations(night, elsewhere, tmp_path, way):
    if way == "nightjar":
        done = night.run("pull", "--to", str(tmp_path / "release"))
        assert done.returncode == 0, done.stderr
        folder = tmp_path / "release"
    else:
        import mlflow

        uri = f"sqlite:///{night.path / 'home/mlflow/mlflow.db'}"
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        mlflow.artifacts.download_artifacts("models:/nightjar-recommender@champion", dst_path=str(tmp_path))
        folder = tmp_path / "artifacts" / "bundle"
    run = subprocess.run(
        [str(elsewhere), "-I", "-c", CONSUMER, str(folder)],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["users"] >= night.users and found["rows"] >= 0.95 * night.k * found["users"]
    assert found["differing"] == [] and found["misnamed"] == [] and found["unwanted"] == []
    assert found["retrieved"] >= night.retrieved


def test_mlflow_serves_it_over_http(night):
    """`mlflow models serve` with what is installed here; ids in and out are those of the log."""
    port = free_port()
    uri = f"sqlite:///{night.path / 'home/mlflow/mlflow.db'}"
    options = ("-m", "models:/nightjar-recommender/1", "--env-manager", "local", "-h", "127.0.0.1", "-p", str(port))
    environment = {"MLFLOW_TRACKING_URI": uri, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with serving(night.path / "serve", "mlflow", "models", "serve", *options, **environment):
        wait_for(f"http://127.0.0.1:{port}/ping", 120)
        body = json.dumps({"dataframe_records": [{"user_id": _a_user(night), "k": 5}]}).encode()
        request = Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=60) as answer:
            found = json.loads(answer.read())["predictions"]
    listed = json.loads(night.ask("recommend", "--user", _a_user(night), "-k", "5", "--json").stdout)["items"]
    served = [(r["item_id"], r["title"], r["rank"]) for r in found]
    assert served == [(i["item"], i["title"], i["rank"]) for i in listed]


def test_recommend_says_why(night):
    users = json.loads(night.ask("recommend", "--history", "", "-k", "3", "--json").stdout)
    assert len(users["items"]) == 3 and users["release"] == "nightjar-recommender 1"
    item = users["items"][0]["item"]
    found = json.loads(night.ask("recommend", "--history", item, "--json").stdout)
    assert len(found["items"]) == 20 and item not in {i["item"] for i in found["items"]}
    assert {"rank", "title", "score", "source", "reason", "retrieval", "rank_in_towers"} <= set(found["items"][0])
    assert found["filters"] == ["seen", "region", "tier", "maturity", "availability"] and found["removed"]["seen"]
    known = night.ask("recommend", "--user", _a_user(night))
    assert known.returncode == 0 and "note:" not in known.stdout, known.stderr
    assert "every item passed the filters seen" in known.stdout
    nobody = night.ask("recommend", "--user", "nobody")
    assert "user nobody is not known to this release: the list of somebody new" in nobody.stdout
    assert night.ask("recommend").stderr.startswith("error: give --user ID or --history")
    wrong = night.ask("recommend", "--history", "no-such-item")
    assert wrong.returncode == 2 and "item 'no-such-item' is not in this release" in wrong.stderr


def test_similar_and_a_pulled_folder(night, tmp_path):
    assert night.ask("pull", "/1", "--to", str(tmp_path / "release")).returncode == 0
    options = ("--release", str(tmp_path / "release"), "--json")
    item = json.loads(night.ask("recommend", "--history", "", *options).stdout)["items"][0]["item"]
    found = json.loads(night.ask("similar", item, "-k", "5", *options).stdout)["items"]
    scores = [i["score"] for i in found]
    assert len(found) == 5 and scores == sorted(scores, reverse=True) and item not in {i["item"] for i in found}
    assert (
        json.loads(night.ask("similar", item, "-k", "5", "--release", f":{night.day}", "--json").stdout)["items"]
        == found
    )


def test_copies_that_were_made_to_be_asked_can_go(night):
    assert night.ask("similar", "nothing").returncode == 2
    (copy,) = (p for p in (night.path / "home/releases").iterdir() if (p / "bundle/__init__.py").exists())
    out = night.ask("gc", "--keep-days", "0", "--delete", "--grace-hours", "0").stdout
    assert f"copy of release {copy.name}" in out and not copy.exists()


def test_a_folder_that_is_no_whole_release_is_told(night, tmp_path):
    assert night.ask("pull", "--part", "index", "--to", str(tmp_path / "part")).returncode == 0
    (tmp_path / "empty").mkdir()
    for name, words in (("part", "holds only index; pull the rest"), ("empty", "manifest.json: missing")):
        done = night.ask("similar", "x", "--release", str(tmp_path / name))
        assert done.returncode == 2 and words in done.stderr, done.stderr


def test_a_reference_to_nothing_is_told(night, tmp_path):
    for reference, words in (
        ("@nowhere", "no version @nowhere of nightjar-recommender"),
        ("/77", f"newest versions: 1 (of {night.day})"),
        ("other-model@champion", "no model 'other-model'"),
        ("", "the reference is empty"),
    ):
        done = night.ask("pull", reference, "--to", str(tmp_path / "x"))
        assert done.returncode == 2 and words in done.stderr, done.stderr


def _a_user(night):
    assert night.ask("export", "id_map", "--to", str(night.path / "ids.parquet")).returncode == 0
    rows = pq.read_table(night.path / "ids.parquet").to_pylist()
    return next(r["external_id"] for r in rows if r["kind"] == "user")


def test_new_items_come_between_nights(night, tmp_path):
    """By the night's own item tower; the new version is pulled as what differs, promoted, and answers."""
    pulled = tmp_path / "release"
    assert night.ask("pull", "/1", "--to", str(pulled)).returncode == 0
    (tmp_path / "new.csv").write_text(
        "external_id,title,genres,content_type,duration_s,language,uploaded_at\n"
        f"brand-new,The Brand New,drama|crime,movie,5400,en,{night.day[:8]}{int(night.day[8:]) - 2:02d}T10:00:00\n"
    )
    listed = json.loads(night.ask("recommend", "--history", "", "--json").stdout)["items"]
    options = ("--remove", listed[0]["item"], "--promote", "--why", "the premiere", "--json")
    done = night.ask("index", "add", str(tmp_path / "new.csv"), *options)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["version"], found["base"], found["added"], found["removed"]) == (2, 1, 1, 1)
    assert found["recall"] >= 0.95
    moved = json.loads(night.ask("pull", "--to", str(pulled), "--json").stdout)
    assert moved["version"]["number"] == 2 and moved["fetched"] < moved["total"] / 2
    near = json.loads(night.ask("similar", "brand-new", "--release", str(pulled), "--json").stdout)["items"]
    assert len(near) == 10 and near[0]["score"] > 0.5
    now = json.loads(night.ask("recommend", "--history", "", "-k", "50", "--json").stdout)["items"]
    assert listed[0]["item"] not in {i["item"] for i in now}
    assert "promote   1 -> 2" in night.ask("history").stdout
    compared = json.loads(night.ask("compare", "1", "2", "--json").stdout)
    assert {"items.parquet", "index/delta-00001.faiss"} <= set(compared["files"])
    unsaid = night.ask("index", "add", str(tmp_path / "new.csv"), "--promote", "--why", " ")
    assert unsaid.returncode == 2 and "--why: say in 1 to" in unsaid.stderr
    again = night.ask("index", "add", str(tmp_path / "new.csv"))
    assert again.returncode == 2 and "in the release already, such as 'brand-new'" in again.stderr
