"""The same log in every shape is the same log."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.sources.catalogue import catalogue_digest, known_by
from tasks.sources.state import Scan, watches_of

LISTED = ("100k", "1m", "csv", "parquet")
UNLISTED_USERS = ("10m", "20m")


def outside(scan: Scan) -> Counter[tuple[str, str, float, int]]:
    """Every event of a scan by its outside ids."""
    names = {kind: scan.ids(kind).external.to_pylist() for kind in ("user", "item")}
    rows = [row for day in scan.days for row in watches_of(scan, day).table.to_pylist()]
    return Counter(
        (names["user"][r["user_id"]], names["item"][r["item_id"]], r["rating"], int(r["time"].timestamp()))
        for r in rows
    )


@pytest.mark.parametrize("shape", [*LISTED, *UNLISTED_USERS, "hive"])
def test_every_event_comes_through_with_its_ids(shape, shapes, world, look, tmp_path):
    scan = look(shapes[shape](world, tmp_path / "source"))
    assert outside(scan) == Counter((str(e.user), str(e.item), e.rating, e.time) for e in world.events)
    for day in scan.days:
        times = watches_of(scan, day).table["time"].to_pylist()
        assert {t.date().isoformat() for t in times} <= {day}
        assert scan.rows[day] == len(times) == sum(e.day == day for e in world.events)


@pytest.mark.parametrize("group", [LISTED, UNLISTED_USERS])
def test_shapes_that_say_the_same_have_equal_digests(group, shapes, world, look, tmp_path):
    scans = [look(shapes[shape](world, tmp_path / shape)) for shape in group]
    first = scans[0]
    assert len(set(first.days.values())) == len(first.days)
    for other in scans[1:]:
        assert other.days == first.days
        for day in (first.first_day, first.last_day):
            assert known_by(other, day).digests == known_by(first, day).digests


def test_days_without_events_are_there_and_named(shapes, world, look, tmp_path):
    scan = look(shapes["100k"](world, tmp_path / "source"))
    assert (scan.first_day, scan.last_day, len(scan.days)) == ("2020-03-01", "2020-03-12", 12)
    assert scan.rows["2020-03-03"] == 0
    assert watches_of(scan, "2020-03-03").table.num_rows == 0
    assert scan.notes == ("1 day has no events: 2020-03-03.",)


def test_movielens_100k_tells_films_and_people(tmp_path, look):
    source = tmp_path / "ml"
    source.mkdir()
    (source / "u.data").write_text("2\t11\t4\t889999999\n")
    (source / "u.user").write_text("2|33|F|writer|02139\n3|18|M|student|02139\n")
    (source / "u.genre").write_text("unknown|0\nComedy|1\nNoir|2\n\n")
    (source / "u.item").write_bytes(
        "11|Misérables, Les (1995)|22-Jan-1996||http://x|0|1|1\n"
        "12|unknown||||1|0|0\n"
        "13|Not yet (1998)|01-Oct-1998|||0|0|1\n".encode("latin-1")
    )
    scan = look(_movielens(source))
    known = known_by(scan, "1998-03-15").tables
    assert [(u["age"], u["gender"]) for u in known["users"].to_pylist()] == [(33, "female"), (18, "male")]
    films = {f["title"]: f for f in known["items"].to_pylist()}
    assert set(films) == {"Misérables, Les (1995)", "unknown"}, "what is released later is not there yet"
    assert films["Misérables, Les (1995)"]["genres"] == ["Comedy", "Noir"]
    assert films["Misérables, Les (1995)"]["uploaded_at"] == datetime(1996, 1, 22, tzinfo=UTC)
    assert films["unknown"]["genres"] is None
    assert films["unknown"]["uploaded_at"] is None


def test_a_film_rated_before_its_release_was_there(tmp_path, look):
    source = tmp_path / "ml"
    source.mkdir()
    (source / "u.data").write_text("1\t1\t4\t889999999\n1\t2\t4\t890999999\n")
    (source / "u.genre").write_text("Noir|0\n")
    (source / "u.item").write_text("1|A|01-Oct-1998|||1\n2|B|||http://x|1\n")
    scan = look(_movielens(source))
    known = known_by(scan, "1998-03-15")
    rated = datetime.fromtimestamp(889999999, UTC)
    assert {f["title"]: f["uploaded_at"] for f in known.tables["items"].to_pylist()} == {"A": rated, "B": None}
    assert any("1 items have events before their uploaded_at" in s.sentence for s in known.substitutes)


def test_movielens_1m_ages_are_groups(shapes, world, look, tmp_path):
    config = shapes["1m"](world, tmp_path / "source")
    (tmp_path / "source" / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n")
    scan = look(config)
    ages = known_by(scan, scan.last_day).tables["users"]["age"].to_pylist()
    assert ages[:2] == [17, 56]
    assert any("Ages are groups" in s.sentence for s in scan.substitutes)


def test_each_shape_names_its_substitutes(shapes, world, look, tmp_path):
    for shape, write in shapes.items():
        text = " ".join(s.sentence for s in look(write(world, tmp_path / shape)).substitutes)
        assert "No impressions: the ranker learns from positives and sampled negatives" in text
        assert "No watch time" in text
        assert ("No users:" in text) == (shape in ("10m", "20m", "hive"))
        assert ("No items:" in text) == (shape == "hive")
        assert ("release date" in text) == (shape == "100k")


def test_catalogue_digest_is_remembered_and_follows_content(shapes, world, look, tmp_path):
    config = shapes["csv"](world, tmp_path / "source")
    before = look(config)
    digest = catalogue_digest(before, before.last_day)
    assert catalogue_digest(before, before.last_day) == digest
    users = tmp_path / "source" / "users.csv"
    users.write_text(users.read_text().replace("F,2,25", "F,2,26"))
    assert catalogue_digest(look(config), before.last_day) != digest
    assert look(config).days == before.days


def _movielens(folder: Path):
    from tasks.sources.config import SourceConfig

    return SourceConfig(kind="movielens", path=str(folder))
