"""What is drawn of the vectors: true directions, kept on disk, the same every time."""

import numpy as np

from benchmarks.made_bundle import foundation_tables, make_bundle, make_tables
from explorer import projection
from explorer.data import Release
from explorer.plots import Point, points
from explorer.projection import items_in_plane, nearest, pca, tsne, user_clusters
from explorer.tabs import space
from models.runtime import Bundle
from models.serving.config import PipelineConfig
from tasks.engine.stage import plain


def test_pca_finds_the_directions_that_differ_most():
    random = np.random.default_rng(0)
    flat = random.normal(size=(200, 2)) * (5, 2)
    turned = flat @ np.linalg.qr(random.normal(size=(6, 6)))[0][:2]
    places = pca(turned)
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), np.linalg.norm(flat - flat.mean(axis=0), axis=1), 1e-9)
    assert places[:, 0].std() > places[:, 1].std()


def test_tsne_keeps_groups_apart():
    centres = np.repeat(np.eye(3) * 50, 20, axis=0)
    places = tsne((centres + np.random.default_rng(0).normal(size=centres.shape)).astype(np.float32))
    middles = places.reshape(3, 20, 2).mean(axis=1)
    spread = np.linalg.norm(places.reshape(3, 20, 2) - middles[:, None], axis=2).max()
    assert min(np.linalg.norm(middles[a] - middles[b]) for a, b in ((0, 1), (0, 2), (1, 2))) > spread


def test_a_plane_is_computed_once_a_release(release, tmp_path, monkeypatch):
    ids, places = items_in_plane(release, "PCA", tmp_path)
    assert len(ids) == len(places) and set(ids.tolist()) <= set(release.items.values())
    monkeypatch.setattr(projection, "pca", None)
    again = items_in_plane(release, "PCA", tmp_path)
    np.testing.assert_array_equal(again[1], places)


def test_of_many_items_a_sample_is_drawn(release, tmp_path, monkeypatch):
    monkeypatch.setattr(projection, "MOST_POINTS", 30)
    assert len(items_in_plane(release, "PCA", tmp_path)[0]) == 30


def test_groups_of_users_are_sorted_by_size_and_cover_everybody(release):
    found = user_clusters(release, 4)
    sizes = np.bincount(found.groups)
    assert sizes.tolist() == sorted(sizes.tolist(), reverse=True) and sizes.sum() == 40
    np.testing.assert_array_equal(user_clusters(release, 4).groups, found.groups)
    assert "group 4" in space.clusters(release, 4)


def test_a_picked_item_and_its_neighbours_stand_out(release, tmp_path):
    item = next(iter(release.items.values()))
    assert 'r="7"' not in space.show(release, "PCA", tmp_path)
    assert space.show(release, "PCA", tmp_path, item).count('r="7"') >= 2
    found, page = space.neighbours(release, release.item_names[item])
    assert found == item and "Nearest to" in page


def test_every_source_by_vectors_shows_its_own(release, tmp_path):
    tables = make_tables(40, 150) | foundation_tables(40, 150)
    path = make_bundle(tmp_path / "made", tables, plain(PipelineConfig(system="hybrid")))
    hybrid = Release(release.version, Bundle(path, threads=1))
    assert list(release.vectors) == ["two towers", "als"]
    assert list(hybrid.vectors) == ["two towers", "als", "transformer"]
    titles = np.stack(tables["title_embeddings"].sort_by("item_id")["vector"].to_numpy())
    np.testing.assert_array_equal(hybrid.vectors["transformer"][: len(titles)], titles)
    unit = titles / np.linalg.norm(titles, axis=1, keepdims=True)
    assert [*nearest(hybrid, 7, "transformer")] == [i for i in np.argsort(-(unit @ unit[7])) if i != 7][:12]
    assert [*nearest(hybrid, 7)] == hybrid.bundle.similar(7, 12)["item_id"].to_pylist()
    places, others = (items_in_plane(hybrid, "PCA", tmp_path, model)[1] for model in ("two towers", "transformer"))
    assert not np.array_equal(places, others)
    assert "by their vectors of 12 numbers, of the transformer" in space.show(hybrid, "PCA", tmp_path, 7, "transformer")


def test_points_keep_their_place_and_say_their_title():
    drawn = [Point(0, 0, "a", "lowest"), Point(1, 1, "b", "<highest>"), Point(0.5, 0.5, "c", "middle")]
    svg = str(points(drawn, ["a", "b", "c"], "x", "y", line=[0, 1]))
    assert "&lt;highest&gt;" in svg and "<highest>" not in svg and "<polyline" in svg
    low, high = svg.index("lowest"), svg.index("&lt;highest")
    assert float(svg[:low].rpartition('cy="')[2].partition('"')[0]) > float(
        svg[:high].rpartition('cy="')[2].partition('"')[0]
    )
