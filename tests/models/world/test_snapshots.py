import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.datasets import ID_MAP, ITEMS, USERS
from models.world.tables import id_map_of, items_of, users_of
from models.world.vocabulary import GENRES, MOODS
from models.world.world import World


def test_tables_are_as_declared_and_dense(world: World, last_day: str) -> None:
    for table, dataset in ((users_of(world, last_day), USERS), (items_of(world, last_day), ITEMS)):
        assert table.schema == dataset.schema
        assert table[dataset.key[0]].to_pylist() == list(range(table.num_rows))
    assert users_of(world, last_day).num_rows == world.config.num_users
    assert 0.99 * world.config.num_items <= items_of(world, last_day).num_rows <= world.config.num_items


def test_an_earlier_day_knows_the_first_of_them_and_as_they_were(world: World, last_day: str) -> None:
    before, after = users_of(world, "2026-01-03"), users_of(world, last_day)
    count = before.num_rows
    assert count < after.num_rows
    changing = ["lifecycle", "engagement_tier"]
    assert before.drop_columns(changing) == after.slice(0, count).drop_columns(changing)
    assert before["lifecycle"] != after.slice(0, count)["lifecycle"]
    earlier = items_of(world, "2026-01-03")
    assert earlier == items_of(world, last_day).slice(0, earlier.num_rows)


def test_nothing_is_known_before_its_time(world: World) -> None:
    day = "2026-01-03"
    midnight = pa.scalar(np.datetime64("2026-01-04", "us")).cast(pa.timestamp("us", tz="UTC"))
    assert pc.all(pc.less(items_of(world, day)["uploaded_at"], midnight)).as_py()
    assert pc.max(users_of(world, day)["signup_date"]).as_py().isoformat() == day


def test_episodes_and_nothing_else_belong_to_a_series(world: World, last_day: str) -> None:
    items = items_of(world, last_day)
    serial = pc.equal(items["content_type"], "episode")
    for column in ("series_id", "season", "episode"):
        assert pc.all(pc.equal(pc.is_valid(items[column]), serial)).as_py()
    assert pc.all(pc.match_substring_regex(items.filter(serial)["title"], r" S\d+E\d+$")).as_py()


def test_descriptions_tell_the_niche(world: World, last_day: str) -> None:
    """Two of a niche share more words than two of different genres: TF-IDF has something to find."""
    items = items_of(world, last_day).slice(0, 400).to_pylist()
    niche = world.catalogue(world.first_day).niche[:400]
    words = [set(item["description"].lower().rstrip(".").split()) for item in items]
    for item, each in zip(items, words, strict=True):
        assert item["genres"][0] in each
        assert each & set(GENRES[item["genres"][0]]) or "mix-up" in item["description"]
        assert each & set(MOODS.tolist())
    shared = np.array([[len(a & b) / len(a | b) for b in words] for a in words])
    same = (niche[:, None] == niche) & ~np.eye(400, dtype=bool)
    assert shared[same].mean() > 1.5 * shared[niche[:, None] // 4 != niche // 4].mean()


def test_outside_ids_are_unique_and_hide_the_order(world: World, last_day: str) -> None:
    ids = id_map_of(world, last_day)
    assert ids.schema == ID_MAP.schema
    assert len(pc.unique(ids["external_id"])) == ids.num_rows
    for kind, count in (("user", users_of(world, last_day).num_rows), ("item", items_of(world, last_day).num_rows)):
        of_kind = ids.filter(pc.equal(ids["kind"], kind))
        assert of_kind["id"].to_pylist() == list(range(count))
        assert of_kind["external_id"].to_pylist() != sorted(of_kind["external_id"].to_pylist())
