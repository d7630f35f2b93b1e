"""Query vectors that the bundle brings along: they are those that its tower would give."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.runtime import Bundle, user_tower
from models.runtime.features import Features
from models.runtime.user_tower import UserTower


@pytest.fixture(scope="module")
def embeddings(path):
    return pq.read_table(path / "user_embeddings.parquet")


@pytest.fixture(scope="module")
def computed(path, tables):
    """Everybody's vectors from scratch."""
    users = Features.of(tables, UserTower(path), "2026-03-01").users
    return users.vectors(np.arange(len(users.ids)))


def test_every_user_has_the_vector_that_the_tower_gives(embeddings, computed, user_ids):
    assert embeddings.schema.types == [pa.int32(), pa.list_(pa.float32())]
    assert embeddings["user_id"].to_pylist() == user_ids
    np.testing.assert_allclose(np.stack(embeddings["vector"].to_numpy()), computed[:, 0], atol=1e-6)


def test_batches_change_nothing(path, tables, embeddings, monkeypatch):
    monkeypatch.setattr(user_tower, "BLOCK", 7)
    again = UserTower(path).embeddings(tables["users"], tables["histories"], 150)
    assert again["user_id"].equals(embeddings["user_id"])
    found, expected = (np.stack(t["vector"].to_numpy()) for t in (again, embeddings))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_tower_is_not_asked_again(path, user_ids, monkeypatch, computed):
    loaded = Bundle(path, threads=1)
    monkeypatch.setattr(UserTower, "vectors", lambda *_: pytest.fail("asked"))
    np.testing.assert_allclose(loaded.features.users.vectors(np.array(user_ids)), computed, atol=1e-6)
    assert loaded.recommend(user_ids).num_users == len(user_ids)


def test_recommendations_are_those_without_them(path, tables, bundle, user_ids):
    without = Bundle(path, threads=1)
    without.features = Features.of(tables, without.tower, "2026-03-01")
    with_them, computed = bundle.recommend(user_ids).table, without.recommend(user_ids).table
    assert with_them.drop_columns("score").equals(computed.drop_columns("score"))
    np.testing.assert_allclose(with_them["score"].to_numpy(), computed["score"].to_numpy(), rtol=1e-5)


def test_who_has_none_gets_it_from_the_tower(tables, path, embeddings, computed, monkeypatch):
    """Of users 0-9 and of one who left the catalogue."""
    some = pa.concat_tables(
        [embeddings.slice(0, 10), embeddings.slice(0, 1).set_column(0, "user_id", pa.array([99], pa.int32()))]
    )
    asked, tower = [], UserTower(path)
    made = tower.vectors

    def vectors(users, histories):
        asked.append(len(users))
        return made(users, histories)

    monkeypatch.setattr(tower, "vectors", vectors)
    users = Features.of({**tables, "user_embeddings": some}, tower, "2026-03-01").users
    np.testing.assert_allclose(users.vectors(np.arange(40)), computed, atol=1e-6)
    assert asked == [30]
