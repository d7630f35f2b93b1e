"""Clean rows of every dataset, and a folder writer: what planted violations start from."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.datasets import DATASETS, Dataset

Rows = list[dict[str, Any]]

NUM_ROWS = 20

FIXED: dict[str, Any] = {
    "age": 30, "gender": "female", "lifecycle": "new", "engagement_tier": "low", "subscription_type": "free",
    "primary_device": "tv", "device_type": "web", "genres": ["drama", "crime"], "content_type": "movie",
    "season": 1, "episode": 2, "duration_s": 3_600.0, "maturity_rating": "13", "content_tier": "basic",
    "available_regions": ["north"], "embedding": [0.5, 0.25], "kind": "user", "surface": "home", "propensity": 0.5,
    "watch_s": 1_800.0, "completion": 0.5, "rating": 4.0, "weight": 1.0, "positive": True, "bitrate_kbps": 4_000.0,
    "buffering_s": 0.5, "quality_switches": 1, "action": "rate", "value": 3.0, "query": "good film",
    "tokens": ["good", "film"], "score": 0.5, "num_watches": 3, "item_ids": [3, 1, 2], "watch_shares": [1.0, 0.5, 0.0],
    "searched": ["good", "film"], "seen": [1, 2, 3], "num_positives": 2, "num_items": 3, "num_impressions": 7,
    "mean_completion": 0.5, "days_active": 2, "recency_days": 1.5, "top_genres": ["drama"], "top_genre_shares": [1.0],
    "num_users": 2, "watch_rate": 0.25, "recent_watches": 2.5, "num_shown": 4, "num_watched": 1,
    "factors": [0.5, -1.0, 2.0], "shard": 0, "vector": [0.6, 0.8], "source": "als", "reason": "because",
    "system": "final", "segment": "all",
    "actions": ["play", "rate", "search"], "positives": [True, False, False], "device_types": ["tv", "", "web"],
    "queries": ["", "", "good film"],
    "user_ids": [1, 2, 5], "by_user": [0.5, 0.25, 0.0],
}  # fmt: skip
"""A valid value of each column whose value does not follow from the row's number or its day."""


def clean_rows(dataset: Dataset, day: str, num_rows: int = NUM_ROWS) -> Rows:
    """Rows that break no rule: five items a user where both are in the key."""
    noon = datetime.fromisoformat(day).replace(hour=13, tzinfo=UTC)

    def value(name: str, type_: pa.DataType, i: int) -> Any:
        numbered: dict[str, Any] = {"user_id": i // 5, "item_id": i % 5, "neighbour_id": i % 5 + 100}
        numbered |= {"rank": i + 1 if dataset.key == ("item_id",) else i % 5 + 1, "k": i + 1, "id": i}
        numbered |= {"metric": f"m{i}", "external_id": f"u{i}", "position": i % 5 + 1}
        if dataset.name in ("item_similarity", "content_similarity", "source_neighbours"):
            numbered |= {"item_id": i // 5}
        if name in FIXED:
            return FIXED[name]
        if dataset.key == (name,) and pa.types.is_integer(type_):
            return i
        if name in numbered:
            return numbered[name]
        if name == "times":
            return [int((noon - timedelta(hours=h)).timestamp()) for h in (3, 2, 2)]
        if name == "request_id":
            return i // 5
        if pa.types.is_timestamp(type_):
            return noon + timedelta(days=1) if name == "available_until" else noon
        if pa.types.is_date(type_):
            return date.fromisoformat(day)
        return "some text" if pa.types.is_string(type_) else 1

    return [{c.name: value(c.name, c.type, i) for c in dataset.columns} for i in range(num_rows)]


def to_table(dataset: Dataset, rows: Rows) -> pa.Table:
    """Rows as a table of the declared types that tolerates nulls everywhere."""
    return pa.Table.from_pylist(rows, schema=pa.schema([(c.name, c.type) for c in dataset.columns]))


@pytest.fixture
def clean() -> Callable[..., Rows]:
    return clean_rows


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write rows or a table as the artifact of a day; `files` splits it, `name` tells artifacts of one day apart."""

    def write_(dataset: Dataset, day: str, rows: Rows | pa.Table, files: int = 1, name: str = "") -> Path:
        folder = tmp_path / f"{dataset.name}-{name}-{day}"
        folder.mkdir()
        table = rows if isinstance(rows, pa.Table) else to_table(dataset, rows)
        size = -(-table.num_rows // files) if table.num_rows else 1
        for number in range(files):
            pq.write_table(table.slice(number * size, size), folder / f"part-{number:05d}.parquet")
        return folder

    return write_


@pytest.fixture
def references() -> dict[str, pa.Array]:
    """Ids that clean rows use, and more."""
    ids = pa.array(range(200), pa.int32())
    return {"user_id": ids, "item_id": ids, "duration_s": pa.array([3_600.0] * 200, pa.float32())}


@pytest.fixture(params=[d for d in DATASETS.values() if d.is_table], ids=lambda d: d.name)
def table_dataset(request: pytest.FixtureRequest) -> Dataset:
    """Every dataset that is a table."""
    dataset: Dataset = request.param
    return dataset
