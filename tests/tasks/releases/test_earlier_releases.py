"""A release that earlier code has made, with its own runtime, serves everything that a release of today serves."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from expectations.errors import Failure, UserError
from explorer import people, requests
from explorer.data import Release
from explorer.projection import items_in_plane
from explorer.tabs import space
from models.runtime import Bundle, BundleError
from models.runtime.files import FORMAT
from models.serving import export
from models.serving.bundle_runtime import open_bundle
from models.serving.increment import extend
from tasks.registry.registry import Registry, Version
from tasks.releases.champion_lists import champion_lists
from tasks.releases.new_items import add_items, read_items
from tasks.releases.pulling import pull
from tests.kept_releases import unpack
from tests.tasks.released import contents, make_release, register

LISTS = ["user_id", "rank", "item_id"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    return unpack(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def bundle(kept):
    return open_bundle(kept, threads=1)


@pytest.fixture(scope="module")
def release(bundle):
    return Release(Version(3, "run", {"nightjar.date": "2026-01-08"}), bundle)


@pytest.fixture(scope="module")
def night(kept):
    """Lists that its own night has made."""
    return pq.read_table(kept / "recommendations").select(LISTS)


def rewritten(folder: Path, **facts) -> Path:
    """A release whose manifest says something else."""
    known = json.loads((folder / "manifest.json").read_text())
    export.write_manifest(folder, {**export.facts_of(known), "format": known["format"], **facts})
    return folder


@pytest.fixture(scope="module", params=["kept", "made today"])
def told(request, kept, tmp_path_factory):
    """A release, and how to read one of its tables without any runtime."""
    folder = kept if request.param == "kept" else make_release(tmp_path_factory.mktemp("made"))
    return open_bundle(folder, threads=1), lambda name: pq.read_table(folder / f"{name}.parquet")


def matrix(column) -> np.ndarray:
    return np.array(column.to_pylist(), dtype=np.float32)


def test_it_tells_its_items_as_its_files_do(told):
    bundle, table = told
    items, embedded = table("items").sort_by("item_id"), table("embeddings").sort_by("item_id")
    ids = items["item_id"].to_pylist()
    assert bundle.item_ids.tolist() == ids
    titles = [title or f"item {i}" for i, title in zip(ids, items["title"].to_pylist(), strict=True)]
    assert bundle.titles.take(pa.array(ids)).to_pylist() == titles
    assert bundle.genres == sorted({g for row in items["genres"].to_pylist() for g in row or ()})
    vectors = matrix(embedded["vector"])
    np.testing.assert_array_equal(bundle.item_vectors[embedded["item_id"].to_numpy()], vectors)
    np.testing.assert_allclose(bundle.embed(items), vectors, atol=1e-5)


def test_it_tells_its_users_as_its_files_do(told):
    bundle, table = told
    users, asked = table("users").sort_by("user_id"), table("user_embeddings")
    ids = users["user_id"].to_pylist()
    assert bundle.users.equals(users) and bundle.user_ids.tolist() == ids
    watched = {row["user_id"]: len(row["item_ids"]) for row in table("histories").to_pylist()}
    assert bundle.num_watched.tolist() == [watched.get(user, 0) for user in ids]
    np.testing.assert_array_equal(bundle.user_vectors(asked["user_id"].to_numpy()), matrix(asked["vector"]))
    shares = np.zeros((len(ids), len(bundle.genres)), dtype=np.float32)
    for row in table("user_features").to_pylist():
        for genre, share in zip(row["top_genres"], row["top_genre_shares"], strict=True):
            shares[ids.index(row["user_id"]), bundle.genres.index(genre)] = share
    np.testing.assert_array_equal(bundle.genre_shares, shares)


def test_it_tells_the_sources_that_it_asks(told):
    bundle, _ = told
    on = {name for name, source in bundle.pipeline["sources"].items() if source["num_candidates"]}
    assert set(bundle.active_sources) == on <= set(bundle.sources)


def test_its_lists_are_those_of_its_night(bundle, night):
    assert bundle.recommend(bundle.user_ids).table.select(LISTS).cast(night.schema).equals(night)


def test_commands_ask_it(kept, bundle, make_home, night):
    home, ids = make_home(), bundle.id_map.to_pylist()
    register(Registry(home.path / "home"), kept)
    user, item = (next(r for r in ids if r["kind"] == kind and r["id"] == 0) for kind in ("user", "item"))
    names = {r["external_id"]: r["id"] for r in ids if r["kind"] == "item"}
    done = home.ask("recommend", "--user", user["external_id"], "-k", "5", "--release", "@candidate", "--json")
    assert not done.returncode, done.stderr
    listed = [names[row["item"]] for row in json.loads(done.stdout)["items"]]
    assert listed == [row["item_id"] for row in night.to_pylist() if row["user_id"] == 0]
    done = home.ask("similar", item["external_id"], "--release", "@candidate", "--json")
    assert [names[row["item"]] for row in json.loads(done.stdout)["items"]] == bundle.similar(0)["item_id"].to_pylist()


def test_the_explorer_shows_it(release, tmp_path):
    assert len(people.choices(release)) == len(release.users) > 0
    name = people.anyone(release, seed=0)
    answer = requests.ask(release, requests.Question(user=name), candidates=True)
    assert answer.items == [c["item_id"] for c in answer.candidates if requests.fate(c) == requests.LISTED]
    assert people.about(release, name) and people.values(release, "region")
    ids, places = items_in_plane(release, "PCA", tmp_path)
    assert len(ids) == len(places) == len(release.items)
    assert "group 2" in space.clusters(release, 2)
    pipeline = dict(release.bundle.pipeline) | {"k": 3}
    assert len(requests.ask(release, requests.Question(), pipeline).items) == 3


def test_compare_and_gates_ask_it(kept, bundle, night, tmp_path):
    registry = Registry(tmp_path / "home")
    number = register(registry, kept).number
    asked = registry, number, bundle.id_map, bundle.user_ids, 5
    lists = champion_lists(*asked, 10, tmp_path / "scratch")
    theirs = {(row["user_id"], row["rank"]): row["item_id"] for row in night.to_pylist()}
    expected = [[theirs.get((user, rank), -1) for rank in range(1, 6)] for user in bundle.user_ids.tolist()]
    assert lists.tolist() == expected
    # Beside lists of three places only three count: two that nobody else has cannot be won.
    short = champion_lists(*asked, 3, tmp_path / "scratch")
    assert (short[:, :3] == lists[:, :3]).all() and (short[:, 3:] == -1).all() and (lists[:, 3:] >= 0).any()


NEW = "external_id,title,genres,uploaded_at,available_until\nnew-1,One,drama,2026-01-06,{until}\n"


@pytest.fixture
def added(kept, tmp_path):
    """Adds an item, available until a day, to the kept release in a registry; gives the old and the new one, pulled."""

    def add(until: str) -> tuple[dict[str, bytes], Path]:
        registry = Registry(tmp_path / "home")
        base = register(registry, kept)
        (tmp_path / "new.csv").write_text(NEW.format(until=until))
        made, done = add_items(registry, base, read_items(tmp_path / "new.csv"), [], tmp_path / "scratch")
        assert (made.number, done.added, done.recall) == (2, 1, 1.0)
        pull(registry, base, tmp_path / "before")
        pull(registry, made, tmp_path / "at")
        return contents(tmp_path / "before"), tmp_path / "at"

    return add


def test_new_items_are_added_to_it_and_found(added, bundle):
    before, folder = added("")
    grown, after = open_bundle(folder), contents(folder)
    kept = {name for name in before if name.startswith("bundle/") and "__pycache__" not in name}
    assert kept and all(after[name] == before[name] for name in kept), "its own runtime goes on serving"
    assert grown.manifest["format"] == bundle.manifest["format"]
    (new,) = grown.ids("item", ["new-1"])
    assert new == bundle.item_ids.max() + 1 and grown.titles[new].as_py() == "One"
    assert grown.search(grown.item_vectors[new][None], 1)[0].tolist() == [[new]]
    assert new in grown.retrieve("towers", grown.user_ids[:20].tolist(), len(grown.item_ids), filtered=False)[0]


def test_an_item_that_nobody_may_get_changes_no_list(added, bundle, night):
    _, folder = added("2026-01-07")
    grown = open_bundle(folder)
    assert len(grown.item_ids) == len(bundle.item_ids) + 1
    assert grown.recommend(grown.user_ids).table.select(LISTS).cast(night.schema).equals(night)


def test_additions_to_additions_keep_its_runtime(added, tmp_path):
    _, folder = added("")
    twice = extend(folder, tmp_path / "twice", pa.table({"external_id": ["new-2"]}), ["new-1"], {"version": 2})
    grown = open_bundle(tmp_path / "twice")
    assert twice.num_items == len(grown.item_ids) and len(grown.ids("item", ["new-2"])) == 1
    with pytest.raises(ValueError, match="not in the bundle's id map"):
        grown.ids("item", ["new-1"])


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (FORMAT + 1, rf"of format {FORMAT + 1}, later than what is installed here \({FORMAT}\); update it"),
        (0, "of format 0, and the earliest known is 1: nothing can be added to it; run a night"),
    ],
)
def test_nothing_is_added_to_a_layout_that_is_not_known(tmp_path, told, words):
    folder = rewritten(unpack(tmp_path), format=told)
    with pytest.raises(UserError, match=words):
        extend(folder, tmp_path / "grown", pa.table({"external_id": ["n"]}), [], {"version": 1})
    assert not (tmp_path / "grown").exists()


def test_a_column_that_came_later_is_told(tmp_path):
    folder = unpack(tmp_path)
    items = pq.read_table(folder / "items.parquet")
    pq.write_table(items.drop_columns("description"), folder / "items.parquet")
    rewritten(folder)
    new = pa.table({"external_id": ["n"], "description": ["x"]})
    with pytest.raises(UserError, match="column 'description' came after the release was made, which has item_id, "):
        extend(folder, tmp_path / "grown", new, [], {"version": 1})
    assert extend(folder, tmp_path / "grown", new.select(["external_id"]), [], {"version": 1}).added == 1


def test_a_runtime_that_finds_what_was_removed_is_told(tmp_path):
    folder = unpack(tmp_path)
    code = folder / "bundle" / "index.py"
    hides = "for shard in self.shards) else known\n"
    assert hides in code.read_text()
    code.write_text(code.read_text().replace(hides, hides.replace("known", "None")))
    gone = open_bundle(rewritten(folder)).id_map.filter(pc.field("kind") == "item")["external_id"][0].as_py()
    with pytest.raises(Failure, match="the release's own runtime finds removed items; nothing was released"):
        extend(folder, tmp_path / "less", pa.table({"external_id": pa.array([], pa.string())}), [gone], {"version": 1})


def test_todays_runtime_refuses_an_earlier_layout(tmp_path):
    with pytest.raises(BundleError, match=rf"of format 0, earlier than this runtime's \({FORMAT}\); use the runtime"):
        Bundle(rewritten(unpack(tmp_path), format=0))
