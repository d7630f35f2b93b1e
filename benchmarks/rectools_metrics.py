"""RecTools' metrics on arrays from a file, for tests and benchmarks: `.peers/bin/python benchmarks/rectools_metrics.py
TABLES.npz CUT_OFF [CUT_OFF ...] [--rounds N]`.

Runs in the peers' own environment and imports nothing of the project. TABLES.npz holds `reco_user`, `reco_item`,
`reco_rank`, `test_user`, `test_item`, `train_user`, `train_item`, `catalog` and `genre` (of each item of the catalogue,
by id). Prints JSON: `values` by name and the `seconds` of processor time of each group of metrics, the best of the
rounds.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
import pandas as pd
from rectools import Columns
from rectools.metrics import (
    MAP,
    MRR,
    NDCG,
    AvgRecPopularity,
    CatalogCoverage,
    HitRate,
    IntraListDiversity,
    MeanInvUserFreq,
    Precision,
    Recall,
    Serendipity,
    calc_metrics,
)  # fmt: skip
from rectools.metrics.distances import PairwiseHammingDistanceCalculator


def metrics_by_group(ks: list[int], genres: pd.DataFrame) -> dict[str, dict]:
    """What is timed together. NDCG's ideal is what could be achieved, as ours is; `ndcg_of_k` has their default."""
    distances = PairwiseHammingDistanceCalculator(genres)
    ranking: dict[str, Any] = {}
    more: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for k in ks:
        ranking |= {
            f"precision@{k}": Precision(k), f"recall@{k}": Recall(k), f"hit_rate@{k}": HitRate(k),
            f"ndcg@{k}": NDCG(k, divide_by_achievable=True), f"mrr@{k}": MRR(k), f"map@{k}": MAP(k),
        }  # fmt: skip
        more |= {
            f"average_popularity@{k}": AvgRecPopularity(k, normalize=True),
            f"coverage@{k}": CatalogCoverage(k, normalize=True), f"serendipity@{k}": Serendipity(k),
        }  # fmt: skip
        others |= {
            f"ndcg_of_k@{k}": NDCG(k), f"map_of_k@{k}": MAP(k, divide_by_k=True),
            f"novelty@{k}": MeanInvUserFreq(k), f"diversity@{k}": IntraListDiversity(k, distances),
        }  # fmt: skip
    return {"ranking": ranking, "more": more, "others": others}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables")
    parser.add_argument("ks", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--groups", nargs="+", default=["ranking", "more", "others"])
    options = parser.parse_args()
    arrays = np.load(options.tables)
    reco = pd.DataFrame({Columns.User: arrays["reco_user"], Columns.Item: arrays["reco_item"]})
    reco[Columns.Rank] = arrays["reco_rank"]
    test, train = (
        pd.DataFrame({Columns.User: arrays[f"{name}_user"], Columns.Item: arrays[f"{name}_item"]})
        for name in ("test", "train")
    )
    genres = pd.get_dummies(pd.Series(arrays["genre"], index=arrays["catalog"])).astype(float)
    values: dict[str, float] = {}
    seconds: dict[str, float] = {}
    groups = metrics_by_group(options.ks, genres)
    for name in options.groups:
        for _ in range(options.rounds):
            began = time.process_time()
            values |= calc_metrics(groups[name], reco, test, train, arrays["catalog"])
            seconds[name] = min(seconds.get(name, float("inf")), time.process_time() - began)
    print(json.dumps({"values": values, "seconds": seconds}))


if __name__ == "__main__":
    main()
