"""What verdicts say, day by day: counts, rows, company, chunks."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from expectations import auditing
from expectations.auditing import judge
from expectations.datasets import EMBEDDINGS, ID_MAP, IMPRESSIONS, INTERACTIONS, USERS, WATCHES, Dataset
from expectations.errors import Failure
from expectations.verdict import Verdict

DAY = "2026-03-10"
Make = Callable[..., Any]


@pytest.fixture
def verdict(write: Make, references: dict[str, pa.Array]) -> Callable[..., Verdict]:
    """The verdict on rows (or a table) of one day."""

    def judge_(dataset: Dataset, rows: Any, recent: dict[str, int] | None = None, **kwargs: Any) -> Verdict:
        return judge(dataset, {DAY: write(dataset, DAY, rows, **kwargs)}, references, recent or {}).verdicts()[DAY]

    return judge_


def broken(verdict: Verdict) -> set[tuple[str, int]]:
    return {(f.column, f.unexpected_count) for f in verdict.failures}


def warned(verdict: Verdict) -> set[tuple[str, int]]:
    return {(f.column, f.unexpected_count) for f in verdict.warnings}


def test_bad_days_are_told_from_good_ones(clean: Make, write: Make) -> None:
    days = [(date(2026, 3, 1) + timedelta(n)).isoformat() for n in range(6)]
    rows = {day: clean(WATCHES, day) for day in days}
    for day, count in ((days[1], 2), (days[4], 5)):
        for row in rows[day][:count]:
            row["completion"] = 1.5
    verdicts = judge(WATCHES, {d: write(WATCHES, d, r) for d, r in rows.items()}, {}, {}).verdicts()
    assert [v.passed for v in verdicts.values()] == [True, False, True, True, False, True]
    assert broken(verdicts[days[1]]) == {("completion", 2)}
    assert broken(verdicts[days[4]]) == {("completion", 5)}
    assert [row["watch_id"] for row in verdicts[days[4]].failures[0].examples] == [0, 1, 2, 3, 4]


def test_a_message_names_dataset_expectation_count_and_rows(clean: Make, verdict: Make) -> None:
    rows = clean(WATCHES, DAY)
    rows[3]["completion"], rows[4]["completion"] = 1.5, -0.5
    (finding,) = verdict(WATCHES, rows).failures
    assert finding.message == (
        "watches of 2026-03-10: completion must be at least 0 and at most 1: 2 of 20 rows break this "
        "(expect_column_values_to_be_between; a share), such as watch_id=3 completion=1.5; watch_id=4 completion=-0.5"
    )


def test_warnings_pass(clean: Make, verdict: Make) -> None:
    rows = clean(WATCHES, DAY)
    rows[2]["rating"], rows[5]["device_type"] = 250.0, "fridge"
    found = verdict(WATCHES, rows)
    assert found.passed and warned(found) == {("rating", 1), ("device_type", 1)}


def test_scales_and_gaps_of_real_logs_pass(clean: Make, verdict: Make) -> None:
    rows = clean(WATCHES, DAY)
    optional = [c.name for c in WATCHES.columns if c.nullable]
    for number, row in enumerate(rows):
        row.update(dict.fromkeys(optional))
        row["rating"] = number * 5.0
    found = verdict(WATCHES, rows)
    assert found.passed and not found.warnings


def test_rows_of_one_key_are_shown_side_by_side(clean: Make, verdict: Make) -> None:
    rows = clean(WATCHES, DAY)
    rows[1]["watch_id"], rows[7]["watch_id"] = rows[18]["watch_id"], rows[12]["watch_id"]
    (finding,) = verdict(WATCHES, rows).failures
    assert (finding.column, finding.unexpected_count) == ("key(watch_id)", 4)
    assert [r["watch_id"] for r in finding.examples] == [12, 12, 18, 18]


def test_the_same_key_on_two_days_is_no_duplicate(clean: Make, write: Make) -> None:
    parts = {day: write(WATCHES, day, clean(WATCHES, day)) for day in ("2026-03-01", "2026-03-02")}
    assert all(v.passed for v in judge(WATCHES, parts, {}, {}).verdicts().values())


def test_events_of_other_days_are_found_and_dated(clean: Make, verdict: Make) -> None:
    rows = clean(WATCHES, DAY)
    rows[0]["time"] = datetime(2026, 3, 11, tzinfo=UTC)
    rows[1]["time"] = datetime(2026, 3, 10, 23, 59, 59, tzinfo=UTC)
    rows[2]["time"] = datetime(2026, 3, 9, 23, 59, 59, tzinfo=UTC)
    future, past = verdict(WATCHES, rows).failures
    assert [r["watch_id"] for r in future.examples] == [0] and "in the future of its day" in future.message
    assert [r["watch_id"] for r in past.examples] == [2] and "before its day" in past.message


def test_ids_that_nobody_has_are_counted(clean: Make, verdict: Make) -> None:
    rows = clean(WATCHES, DAY)
    for row in rows:
        row["user_id"] += 5_000
    assert broken(verdict(WATCHES, rows)) == {("known(user_id, user_id)", len(rows))}


def test_nothing_is_known_when_nobody_exists(clean: Make, write: Make) -> None:
    parts = {DAY: write(WATCHES, DAY, clean(WATCHES, DAY))}
    nobody = {"user_id": pa.array([], pa.int32())}
    assert broken(judge(WATCHES, parts, nobody, {}).verdicts()[DAY]) == {("known(user_id, user_id)", 20)}


def test_without_references_their_rules_are_left_out(clean: Make, write: Make) -> None:
    rows = clean(WATCHES, DAY)
    rows[0]["user_id"] = 5_000
    audit = judge(WATCHES, {DAY: write(WATCHES, DAY, rows)}, {}, {})
    assert audit.verdicts()[DAY].passed
    assert not any("known" in column for rule in audit.checked for column in rule.columns)


@pytest.mark.parametrize("rows", [0, 5, 250, 20_000])
def test_volume_is_compared_with_the_days_before(rows: int, clean: Make, verdict: Make) -> None:
    recent = {f"2026-03-0{n}": 1_500 for n in range(1, 10)} | {"2026-03-20": 10**6}
    made = clean(WATCHES, DAY, rows)
    for row in made:
        row["user_id"] = 7
    found = verdict(WATCHES, made, recent)
    low = ("share_of_recent", 1)
    assert warned(found) == {0: {low, ("rows", 1)}, 5: {low}, 250: set(), 20_000: {low}}[rows]
    assert broken(found) == ({("rows_after_busy_days", 1)} if rows == 0 else set())
    if rows == 5:
        assert found.warnings[0].examples == ({"share_of_recent": 5 / 1_500, "rows": 5, "recent_median": 1_500},)


def test_an_empty_day_of_a_quiet_log_only_warns(clean: Make, write: Make) -> None:
    parts = {f"2026-03-0{n}": write(WATCHES, f"2026-03-0{n}", clean(WATCHES, f"2026-03-0{n}")) for n in range(1, 6)}
    parts["2026-03-06"] = write(WATCHES, "2026-03-06", [])
    found = judge(WATCHES, parts, {}, {}).verdicts()["2026-03-06"]
    assert found.passed and warned(found) == {("rows", 1)}


def test_an_empty_table_of_a_night_fails_where_it_must_not_be(verdict: Make) -> None:
    assert broken(verdict(USERS, [])) == {("rows", 1)}
    assert verdict(ID_MAP, []).passed


def test_a_long_log_that_ends_in_the_morning_is_late(clean: Make, verdict: Make) -> None:
    rows = clean(WATCHES, DAY, 1_000)
    for number, row in enumerate(rows):
        row["user_id"], row["time"] = 7, datetime(2026, 3, 10, 9, number % 60, tzinfo=UTC)
    assert warned(verdict(WATCHES, rows)) == {("newest_hour(time)", 1)}
    for row in rows:
        row["time"] = datetime(2026, 3, 10, tzinfo=UTC)
    assert not verdict(WATCHES, rows, name="dates-only").warnings


def test_a_window_that_ends_early_is_stale(clean: Make, verdict: Make) -> None:
    rows = clean(INTERACTIONS, DAY)
    for row in rows:
        row["last_time"] -= timedelta(days=4)
    assert warned(verdict(INTERACTIONS, rows)) == {("days_behind(last_time)", 1)}
    rows[0]["last_time"] += timedelta(days=2)
    assert not verdict(INTERACTIONS, rows, name="fresher").warnings


def test_vectors_of_two_lengths_fail(clean: Make, verdict: Make) -> None:
    rows = clean(EMBEDDINGS, DAY)
    rows[3]["vector"] = [1.0]
    (finding,) = verdict(EMBEDDINGS, rows).failures
    assert finding.examples == ({"shortest(vector)": 1.0, "longest(vector)": 2.0},)


def _without(table: pa.Table) -> pa.Table:
    return table.drop_columns(["weight"])


def _wrong_type(table: pa.Table) -> pa.Table:
    return table.set_column(2, "user_id", table["user_id"].cast(pa.string()))


def _extra(table: pa.Table) -> pa.Table:
    return table.append_column("mood", pa.array(["good"] * table.num_rows))


@pytest.mark.parametrize(
    ("change", "example"),
    [
        (_without, {"column": "weight", "type": "missing", "declared": "float"}),
        (_wrong_type, {"column": "user_id", "type": "string", "declared": "int32"}),
        (_extra, {"column": "mood", "type": "string", "declared": "not declared"}),
    ],
)
def test_columns_are_as_declared(change: Make, example: dict[str, str], clean: Make, write: Make) -> None:
    good = write(WATCHES, DAY, clean(WATCHES, DAY))
    odd = write(WATCHES, "2026-03-11", change(_table(clean(WATCHES, "2026-03-11"))))
    verdicts = judge(WATCHES, {DAY: good, "2026-03-11": odd}, {}, {}).verdicts()
    (finding,) = verdicts["2026-03-11"].failures
    assert verdicts[DAY].passed and finding.examples == (example,)


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=pa.schema([(c.name, c.type) for c in WATCHES.columns]))


def test_rows_of_a_day_with_one_column_too_many_are_still_looked_at(clean: Make, verdict: Make) -> None:
    rows = clean(WATCHES, DAY)
    rows[0]["completion"] = 2.0
    assert broken(verdict(WATCHES, _extra(_table(rows)))) == {("type and declared", 1), ("completion", 1)}


def test_how_a_writer_spells_a_type_does_not_matter(clean: Make, verdict: Make) -> None:
    table = _table(clean(WATCHES, DAY))
    table = table.set_column(10, "device_type", table["device_type"].dictionary_encode())
    table = table.set_column(4, "time", table["time"].cast(pa.timestamp("ms", "UTC")))
    assert verdict(WATCHES, table).passed


def test_an_empty_folder_has_no_columns(write: Make, tmp_path: Any) -> None:
    (found,) = judge(WATCHES, {DAY: tmp_path}, {}, {}).verdicts().values()
    assert found.failures[0].unexpected_count == len(WATCHES.columns)


def test_what_is_no_parquet_is_a_failure_with_its_name(tmp_path: Any) -> None:
    (tmp_path / "part-00000.parquet").write_bytes(b"not at all")
    with pytest.raises(Failure, match="part-00000"):
        judge(WATCHES, {DAY: tmp_path}, {}, {})


@pytest.mark.parametrize(
    "chunk_rows", [pytest.param(3, marks=pytest.mark.soak), 7, pytest.param(40, marks=pytest.mark.soak), 10_000]
)
def test_the_size_of_chunks_changes_nothing(
    chunk_rows: int, clean: Make, write: Make, references: dict[str, pa.Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    parts = {}
    for n in range(1, 5):
        rows = clean(IMPRESSIONS, f"2026-03-0{n}", 23)
        for row in rows:
            row["propensity"] = math.nan if rng.random() < 0.2 else 0.5
            row["user_id"] = int(rng.integers(150, 250))
        if n == 3:
            rows[0].update(request_id=4, position=3)
        parts[f"2026-03-0{n}"] = write(IMPRESSIONS, f"2026-03-0{n}", rows, files=n)
    whole = judge(IMPRESSIONS, parts, references, {})
    monkeypatch.setattr(auditing, "CHUNK_ROWS", chunk_rows)
    pieces = judge(IMPRESSIONS, parts, references, {})
    assert pieces.verdicts() == whole.verdicts()
    assert pieces.checked == whole.checked
    assert ("key(request_id, position)", 2) in broken(whole.verdicts()["2026-03-03"])


def test_examples_come_from_the_right_file_and_row_group(clean: Make, verdict: Make) -> None:
    rows = clean(WATCHES, DAY, 50)
    for number in (7, 26, 49):
        rows[number]["weight"] = 0.0
    (finding,) = verdict(WATCHES, rows, files=4).failures
    assert [r["watch_id"] for r in finding.examples] == [7, 26, 49]


def test_long_lists_are_cut_in_examples(clean: Make, verdict: Make) -> None:
    rows = clean(EMBEDDINGS, DAY)
    for row in rows:
        row["vector"] = [0.5] * 64
    (finding,) = verdict(EMBEDDINGS, rows).failures
    assert finding.examples[0]["vector"] == [*[0.5] * 8, "... 64 in all"]
    assert len(finding.examples) == auditing.NUM_EXAMPLES and finding.unexpected_count == len(rows)
