"""The lake with pandas: `python examples/read_lake.py HOME`, after `nightjar run`.

An artifact is a folder with Parquet files and a manifest; `<lake>/current/DATASET.json` says where the newest is of
what others read. `nightjar export DATASET --to FILE` does the same for one table.
"""

import json
import sys
from pathlib import Path

import pandas as pd


def read(lake: Path, dataset: str) -> pd.DataFrame:
    """The newest artifact of a dataset, whole."""
    made = lake.glob(f"{dataset}/date=*/*/manifest.json")
    newest = max(made, key=lambda path: (path.parts[-3], path.stat().st_mtime))
    manifest = json.loads(newest.read_text())
    print(f"{dataset} of {manifest['date']}: {manifest['rows']:,} rows, key {manifest['key'][:12]}")
    return pd.concat([pd.read_parquet(path) for path in sorted(newest.parent.glob("*.parquet"))], ignore_index=True)


def main(home: Path) -> pd.DataFrame:
    """How good the lists are, and which titles stand on most of them."""
    lake = home / "lake"
    evaluation = read(lake, "evaluation")
    overall = evaluation[(evaluation["segment"] == "all") & (evaluation["metric"] == "ndcg") & (evaluation["k"] == 10)]
    print(overall.set_index("system")["value"].sort_values(ascending=False).head(8).to_string())

    pointer = json.loads((lake / "current" / "recommendations.json").read_text())
    print(f"recommendations that others read: {pointer['path']}")
    lists, items = read(lake, "recommendations"), read(lake, "items")
    titled = lists.merge(items[["item_id", "title"]], on="item_id")
    print(titled["title"].value_counts().head(5).to_string())
    return titled


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".nightjar"))
