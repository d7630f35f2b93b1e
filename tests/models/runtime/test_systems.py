"""The systems: where their candidates come from, and that their scores are what they say."""

import dataclasses

import numpy as np
import pytest

from benchmarks.made_bundle import make_bundle
from models.evaluation.ablations import ablations
from models.runtime import Bundle, BundleError
from models.runtime.scores import RANKER
from models.runtime.sources import Vectors
from models.runtime.systems import SYSTEMS
from models.serving.config import PipelineConfig, pipeline_of
from tasks.engine.stage import plain

PLAIN = {"mmr_lambda": 1.0, "series_cap": 0, "creator_cap": 0, "fresh_quota": 0, "exploration_position": 0}


def pipeline(system, **rank):
    made = plain(pipeline_of(system, PipelineConfig(k=8, candidates=30, pool_size=60)))
    return {**made, "rank": {**made["rank"], **rank}, "order": {**made["order"], **PLAIN}}


@pytest.fixture(scope="module")
def served(tmp_path_factory, tables):
    return Bundle(make_bundle(tmp_path_factory.mktemp("all"), tables, pipeline("netflix")), threads=2)


def rows_of(bundle, user_ids, **rank):
    traced = bundle.recommend(user_ids, trace=True).table.to_pylist()
    return {user: [r for r in traced if r["user_id"] == user] for user in user_ids}


def standard(values):
    return (values - values.mean()) / values.std()


@pytest.mark.parametrize(
    ("system", "sources"),
    [("youtube", ["towers"]), ("netflix", ["als", "transformer"]), ("hybrid", ["towers"])],
)
def test_candidates_come_from_the_system_s_sources(system, sources, served, user_ids):
    bundle = served.with_pipeline(pipeline(system))
    assert bundle.steps.active == sources
    found = bundle.recommend(user_ids).table["source"].to_pylist()
    assert set(found) <= {*sources, "popularity"}  # popularity fills up where filters leave too few


def test_youtube_with_watch_time_alone_ranks_by_expected_seconds(served, user_ids):
    for rows in rows_of(served.with_pipeline(pipeline("youtube", watch_time_weight=1.0)), user_ids).values():
        seconds = [r["watch_seconds"] for r in rows]
        assert seconds == sorted(seconds, reverse=True)


def test_netflix_is_the_weighted_mean_of_both_standardised_scores(served, user_ids, tables):
    share = 0.7
    bundle = served.with_pipeline(pipeline("netflix", foundation_weight=share))
    rows = bundle.features.user_rows(np.array(user_ids))
    pool, _ = bundle.steps.candidates(bundle.features.users, rows, 8)
    relevance, said = bundle.steps._rank(bundle.features, rows, pool)
    members = np.stack(tables["member_embeddings"]["vector"].to_numpy())
    titles = np.stack(tables["title_embeddings"]["vector"].to_numpy())
    for place, user in enumerate(user_ids):
        kept = pool.item_ids[place] >= 0
        items = pool.item_ids[place][kept]
        foundation = titles[items] @ members[user]
        np.testing.assert_allclose(said["transformer_score"][place][kept], foundation, rtol=1e-4, atol=1e-5)
        als = said["als_score"][place][kept]
        blend = share * standard(foundation) + (1 - share) * (standard(als) if als.std() > 0 else 0)
        expected = np.exp(blend - blend.max())
        np.testing.assert_allclose(relevance[place][kept], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("system", "rank", "column"),
    [
        ("netflix", {"foundation_weight": 1.0}, "transformer_score"),
        ("netflix", {"foundation_weight": 0.0}, "als_score"),
        ("hybrid", {"cf_weight": 1.0}, "als_score"),
        ("hybrid", {"cf_weight": 0.0, "engagement_weight": 0.0}, "transformer_score"),
        ("hybrid", {"cf_weight": 0.0, "engagement_weight": 1.0}, "engagement_score"),
    ],
)
def test_with_one_part_alone_lists_follow_it(system, rank, column, served, user_ids):
    for rows in rows_of(served.with_pipeline(pipeline(system, **rank)), user_ids).values():
        values = [r[column] for r in rows]
        assert values == sorted(values, reverse=True)


def test_who_has_watched_since_and_strangers_are_asked_of_the_graph(served, tables):
    """The made graph sums the titles of the sentence, so the answer is known."""
    fresh = Bundle(served.path, threads=1)
    foundation = fresh._sources["transformer"]
    assert isinstance(foundation, Vectors)
    titles = np.stack(tables["title_embeddings"]["vector"].to_numpy())
    fresh.watch(3, [5, 9])
    row = fresh.features.user_rows(np.array([3]))
    ((features, rows),) = fresh._batches(row)
    history = features.users.history.last(rows, 10)[0]
    np.testing.assert_allclose(
        foundation._of(features.users, rows)[0][0], titles[history[history >= 0]].sum(axis=0), rtol=1e-4
    )
    known = np.stack(tables["member_embeddings"]["vector"].to_numpy())[4]
    np.testing.assert_array_equal(
        foundation._of(fresh.features.users, fresh.features.user_rows(np.array([4])))[0][0], known
    )
    first = fresh.retrieve("transformer", [4], 5)[0][0]
    assert fresh.recommend_for_history([7, 8], k=5).table.num_rows == 5
    assert len(first) == 5


def test_a_release_without_a_transformer_refuses_systems_that_ask_one(tables, tmp_path):
    without = {name: table for name, table in tables.items() if name not in ("member_embeddings", "title_embeddings")}
    release = Bundle(make_bundle(tmp_path, without, pipeline("youtube")))
    with pytest.raises(BundleError, match="asks the source transformer, and this release has none"):
        release.with_pipeline({**pipeline("netflix"), "system": "fusion"})
    with pytest.raises(BundleError, match="hybrid asks the source transformer for scores, and this release has none"):
        release.with_pipeline(pipeline("hybrid"))


def test_a_source_that_cannot_score_is_named(served, monkeypatch):
    entry = dataclasses.replace(SYSTEMS["hybrid"], asks=("popularity",))
    monkeypatch.setitem(SYSTEMS, "hybrid", entry)
    with pytest.raises(BundleError, match="hybrid asks the source popularity for scores, and this release's proposes"):
        served.with_pipeline(pipeline("hybrid"))


def test_a_system_of_a_later_version_is_refused(served):
    with pytest.raises(BundleError, match=r"system is 'crystal ball' \(str\); allowed: fusion, youtube, "):
        served.with_pipeline({**pipeline("hybrid"), "system": "crystal ball"})


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_asks_the_models_that_its_entry_says(system, served, user_ids):
    """A night makes no others for it, and a release without them refuses it."""
    bundle = served.with_pipeline(pipeline(system))
    columns = bundle.recommend(user_ids, trace=True).table.column_names
    asked = {source for source in bundle.sources if f"{source}_score" in columns}
    assert asked == set(SYSTEMS[system].scored_by)
    assert ("click_probability" in columns) == (RANKER in SYSTEMS[system].asks)


def test_a_release_with_half_a_transformer_is_refused(served, tmp_path, tables):
    path = make_bundle(tmp_path, tables, pipeline("netflix"))
    (path / "title_embeddings.parquet").unlink()
    with pytest.raises(BundleError, match=r"title_embeddings\.parquet: missing"):
        Bundle(path)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_part_of_a_system_can_be_left_out(system, served, user_ids):
    config = dataclasses.replace(pipeline_of(system, PipelineConfig(k=8, candidates=30, pool_size=60)))
    lists = {
        name: served.with_pipeline(changed).recommend(user_ids).table["item_id"].to_pylist()
        for name, changed in ablations(plain(config)).items()
    }
    whole = lists["without nothing"]
    for part in SYSTEMS[system].without:
        assert lists[f"without {part}"] != whole, part


def test_pools_are_never_shorter_than_lists():
    made = pipeline_of("youtube", PipelineConfig(k=20, candidates=5))
    assert made.pool_size >= made.k
